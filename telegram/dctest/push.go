package dctest

import (
	"github.com/tghaul/haul/telegram/dctest/internal/layers"
	"github.com/tghaul/haul/telegram/dctest/internal/mtserver"
	"github.com/tghaul/haul/tl/api"
)

// A listener is a session that gets updates: it has called something without
// invokeWithoutUpdates at the DC where its account lives.
// See core.telegram.org/api/updates.
type listener struct {
	me    *account
	dc    int
	layer int
}

// listen makes the session of a call get updates from now on.
func (r *request) listen() {
	if r.quiet || r.me == nil || r.Session == nil || r.DC != r.me.cfg.DC || r.MediaOnly {
		return
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	r.c.listeners[r.Session] = listener{me: r.me, dc: r.DC, layer: r.layer}
}

// pushLocked tells the other sessions of what was sent to a chat. Who sent it
// is told by the answer.
func (c *Cluster) pushLocked(sender *request, ch *chat, messages []*worldMessage) {
	c.tellLocked(sender.Session, ch, sender.now, func(r *request) (list []api.UpdateClass) {
		for _, m := range messages {
			list = append(list, r.newMessage(ch, m.id))
		}
		return list
	})
}

// push sends updates to a session in the form of its layer.
func (c *Cluster) push(session *mtserver.Session, l listener, updates *api.Updates) {
	update, err := layers.Downgrade(updates, l.layer)
	if err != nil {
		c.cfg.Log.Error("update has no form in an old layer", "layer", l.layer, "err", err)
		return
	}
	session.Push(update)
}
