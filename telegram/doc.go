// Package telegram is an account's view of Telegram: signing in, data
// centers and their sessions, peers, messages, and where files are.
//
// A [Client] has one main session with the account's home DC, and hands out
// file sessions to any DC. It moves no files itself: it says where a file is
// ([File.Location]) and gives sessions to fetch it through. Everything that
// has to survive a restart is in a [Session], kept by a [SessionStore].
//
// See core.telegram.org/api and core.telegram.org/mtproto.
package telegram
