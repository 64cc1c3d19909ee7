// Package mt has the Go types of MTProto's own messages, see
// core.telegram.org/mtproto/service_messages and auth_key. All but this file is
// generated; names are as in package api.
//
// Containers and bare messages are not here: who needs them lays them out.
package mt
