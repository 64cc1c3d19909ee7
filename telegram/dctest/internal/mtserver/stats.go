package mtserver

import (
	"maps"
	"sync"
	"sync/atomic"
)

// Stats are counters of one DC since it was made.
type Stats struct {
	Connections     int64         `json:"connections"`      // accepted
	OpenConnections int64         `json:"open_connections"` // now
	KeyExchanges    int64         `json:"key_exchanges"`    // finished
	Bindings        int64         `json:"bindings"`         // auth.bindTempAuthKey granted
	Sessions        int64         `json:"sessions"`         // new_session_created sent
	PacketsIn       int64         `json:"packets_in"`       // encrypted packets accepted
	PacketsOut      int64         `json:"packets_out"`      // encrypted packets written
	MessagesIn      int64         `json:"messages_in"`      // containers opened
	Containers      int64         `json:"containers"`       // received
	Duplicates      int64         `json:"duplicates"`       // messages received again
	Calls           int64         `json:"calls"`            // API queries handled
	RPCErrors       int64         `json:"rpc_errors"`
	Dropped         int64         `json:"dropped"`   // by rpc_drop_answer
	AcksIn          int64         `json:"acks_in"`   // ids in msgs_ack received
	AcksOut         int64         `json:"acks_out"`  // ids in msgs_ack sent
	Resent          int64         `json:"resent"`    // answers sent again
	BytesIn         int64         `json:"bytes_in"`  // on the wire
	BytesOut        int64         `json:"bytes_out"` // on the wire
	BadMessages     map[int]int64 `json:"bad_messages"`
	TransportErrors map[int]int64 `json:"transport_errors"`
	BadPackets      int64         `json:"bad_packets"` // msg_key, length, padding: connection closed
}

// counters is the live form of Stats.
type counters struct {
	connections, open, exchanges, bindings, sessions   atomic.Int64
	packetsIn, packetsOut, messagesIn, containers      atomic.Int64
	duplicates, calls, rpcErrors, dropped              atomic.Int64
	acksIn, acksOut, resent, bytesIn, bytesOut, broken atomic.Int64

	mu        sync.Mutex
	bad       map[int]int64
	transport map[int]int64
}

func (c *counters) countBad(code int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bad == nil {
		c.bad = make(map[int]int64)
	}
	c.bad[code]++
}

func (c *counters) countTransport(code int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.transport == nil {
		c.transport = make(map[int]int64)
	}
	c.transport[int(code)]++
}

func (c *counters) snapshot() Stats {
	c.mu.Lock()
	bad, transport := maps.Clone(c.bad), maps.Clone(c.transport)
	c.mu.Unlock()
	return Stats{
		Connections: c.connections.Load(), OpenConnections: c.open.Load(),
		KeyExchanges: c.exchanges.Load(), Bindings: c.bindings.Load(), Sessions: c.sessions.Load(),
		PacketsIn: c.packetsIn.Load(), PacketsOut: c.packetsOut.Load(),
		MessagesIn: c.messagesIn.Load(), Containers: c.containers.Load(),
		Duplicates: c.duplicates.Load(), Calls: c.calls.Load(), RPCErrors: c.rpcErrors.Load(),
		Dropped: c.dropped.Load(), AcksIn: c.acksIn.Load(), AcksOut: c.acksOut.Load(),
		Resent: c.resent.Load(), BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
		BadMessages: bad, TransportErrors: transport, BadPackets: c.broken.Load(),
	}
}
