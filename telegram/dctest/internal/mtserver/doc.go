// Package mtserver is the MTProto side of a simulated DC: key exchange,
// encrypted sessions, salts, acknowledgements and containers, as strict as the
// real servers are. What the API answers is not its business: a Handler does that.
//
// It shares only wire codecs with the client (tl, mtproto/crypto and
// mtproto/transport); the key exchange and the sessions are written anew, so
// that a mistake of the client is not made twice.
//
// The life of a query:
//
//  1. a connection's reader takes one frame into a pooled buffer and decrypts it there;
//  2. the packet is checked: key, msg_key, lengths, msg_id, salt, container, seqno;
//  3. service messages are answered at once, API queries join the session's line;
//  4. at most maxRunning handlers of a session run at the same time;
//  5. the answer is encoded into pooled memory, where it stays until it is
//     acknowledged, to be sent again on the next connection;
//  6. the writer of the session's latest connection copies it into a packet,
//     alone or with others in a container, seals that in place and writes it.
package mtserver
