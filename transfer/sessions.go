package transfer

import (
	"context"

	"github.com/tghaul/haul/scheduler"
	"github.com/tghaul/haul/telegram"
)

// session is the connection that the scheduler means.
func (r *run) session(ctx context.Context, route scheduler.Route, conn int) (Session, error) {
	var s Session
	var err error
	switch route.Use {
	case scheduler.CDN:
		s, err = r.tg.CDNSession(ctx, route.DC, conn)
	case scheduler.Upload:
		s, err = r.tg.FileSession(ctx, route.DC, telegram.Upload, conn)
	case scheduler.Download:
		s, err = r.tg.FileSession(ctx, route.DC, telegram.Download, conn)
	}
	if err != nil {
		return nil, &dialError{err}
	}
	r.sessions.LoadOrStore(s, reconnects(s))
	return s, nil
}

// partSession is the connection for a part. Making it may take long, and a
// wait that has begun meanwhile holds the part too: then it fails with errAgain.
func (r *run) partSession(ctx context.Context, s scheduler.Send) (Session, error) {
	conn, err := r.session(ctx, s.Route, s.Conn)
	if err == nil && r.asides.left(s.Route.Scope()) > 0 {
		return nil, errAgain
	}
	return conn, err
}

// reconnects is how often a session has made its connection anew.
func reconnects(s any) int {
	if s, ok := s.(interface{ Reconnects() int }); ok {
		return s.Reconnects()
	}
	return 0
}

// dropSession has the connection of a part made anew.
func (r *run) dropSession(s scheduler.Send) {
	switch s.Route.Use {
	case scheduler.Upload:
		r.tg.DropFileSession(s.Route.DC, telegram.Upload, s.Conn)
	case scheduler.Download:
		r.tg.DropFileSession(s.Route.DC, telegram.Download, s.Conn)
	case scheduler.CDN: // a dead one is replaced by itself
	}
}
