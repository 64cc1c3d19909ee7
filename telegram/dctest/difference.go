package dctest

import (
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// Updates that clients ask for. pts counts the messages that were there from
// the beginning, and what has happened since, see chat.log.
// See core.telegram.org/api/updates#recovering-gaps.

const (
	differenceTimeout = 30      // seconds until a final difference may be asked for again
	maxBotDifference  = 100_000 // limit for bots
	tooLong           = 10_000  // messages behind from which on a user has to start anew
)

// state is where the account's own updates stand: Cluster.mu is held.
func (r *request) state() api.UpdatesState {
	return api.UpdatesState{Pts: int32(r.c.world.savedOf(r.me.id).pts), Date: int32(r.now.Unix()), Seq: 1}
}

func (r *request) getState() (tl.Object, error) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	s := r.state()
	return &s, nil
}

func (r *request) getDifference(q *api.UpdatesGetDifferenceRequest) (tl.Object, error) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	state, ch := r.state(), r.c.world.savedOf(r.me.id)
	switch {
	case q.Pts <= 0:
		return nil, refuse(400, "PERSISTENT_TIMESTAMP_EMPTY")
	case q.Date <= 0:
		return nil, refuse(400, "DATE_EMPTY")
	case q.Pts > state.Pts:
		return nil, refuse(400, "PERSISTENT_TIMESTAMP_INVALID")
	case q.Pts == state.Pts:
		return &api.UpdatesDifferenceEmpty{Date: state.Date, Seq: state.Seq}, nil
	}
	limit := maxBatch
	if q.PtsLimit.Set && q.PtsLimit.Value > 0 {
		limit = min(limit, int(q.PtsLimit.Value))
	}
	last := min(int(q.Pts)+limit-1, ch.ids.top)
	list := r.renderRange(ch, int(q.Pts), last)
	users := []api.UserClass{r.user(r.me)}
	if last < ch.ids.top {
		state.Pts = int32(last + 1)
		return &api.UpdatesDifferenceSlice{NewMessages: list, Users: users, IntermediateState: state}, nil
	}
	return &api.UpdatesDifference{NewMessages: list, Users: users, State: state}, nil
}

// renderRange renders the messages there are with ids from first to last.
func (r *request) renderRange(ch *chat, first, last int) (list []api.MessageClass) {
	for id := first; id <= last; id++ {
		if ch.ids.has(id) {
			list = append(list, r.render(ch, id))
		}
	}
	return list
}

// getChannelDifference tells what has happened since pts. Of what was there
// from the beginning the message with id n brought the pts n+1.
func (r *request) getChannelDifference(q *api.UpdatesGetChannelDifferenceRequest) (tl.Object, error) {
	ch, err := r.inputChannel(q.Channel)
	if err != nil {
		return nil, err
	}
	limit := min(max(int(q.Limit), 1), maxBatch)
	if r.me.bot() {
		limit = min(max(int(q.Limit), 1), maxBotDifference)
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	pts := int(q.Pts)
	switch {
	case pts <= 0:
		return nil, refuse(400, "PERSISTENT_TIMESTAMP_EMPTY")
	case pts > ch.pts:
		return nil, refuse(400, "PERSISTENT_TIMESTAMP_INVALID")
	case pts == ch.pts:
		return &api.UpdatesChannelDifferenceEmpty{Final: true, Pts: int32(ch.pts), Timeout: tl.Some[int32](differenceTimeout)}, nil
	case !r.me.bot() && ch.pts-pts > tooLong:
		d := r.describe([]*chat{ch})
		return &api.UpdatesChannelDifferenceTooLong{
			Final: true, Timeout: tl.Some[int32](differenceTimeout),
			Dialog: d.Dialogs[0], Messages: d.Messages, Chats: d.Chats, Users: d.Users,
		}, nil
	}
	next := min(pts+limit, ch.pts)
	answer := &api.UpdatesChannelDifference{
		Final: next == ch.pts, Pts: int32(next), Timeout: tl.Some[int32](differenceTimeout),
		Chats: r.chats(ch), Users: []api.UserClass{r.user(r.me)},
	}
	answer.NewMessages, answer.OtherUpdates = r.channelChanges(ch, pts, next)
	return answer, nil
}

// channelChanges are what has brought the pts after from, up to to. Messages
// come as they are now, and not at all if they are gone.
func (r *request) channelChanges(ch *chat, from, to int) (messages []api.MessageClass, updates []api.UpdateClass) {
	messages = r.renderRange(ch, from, min(to, ch.base)-1)
	told := map[int]bool{}
	for pts := max(from, ch.base) + 1; pts <= to; pts++ {
		switch c := ch.log[pts-ch.base-1]; {
		case c.kind == deleted:
			updates = append(updates, &api.UpdateDeleteChannelMessages{
				ChannelID: ch.id, Messages: []int32{int32(c.id)}, Pts: int32(pts), PtsCount: 1,
			})
		case told[c.id] || !ch.ids.has(c.id):
		case c.kind == posted:
			told[c.id] = true
			messages = append(messages, r.render(ch, c.id))
		default:
			told[c.id] = true
			updates = append(updates, &api.UpdateEditChannelMessage{Message: r.render(ch, c.id), Pts: int32(pts), PtsCount: 1})
		}
	}
	return messages, updates
}
