package dctest

import (
	"context"
	"fmt"
	"slices"

	"github.com/tghaul/haul/tl/api"
)

// An endpoint is one address at which a DC is served.
type endpoint struct {
	DC
	stop context.CancelFunc // ends its connections, and takes no more
}

// addresses lists the endpoints as clients are told of them.
func (c *Cluster) addresses() (list []DC) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.endpoints {
		list = append(list, e.DC)
	}
	return list
}

// Move gives a DC new addresses, tells sessions of it with updateConfig, and
// drops the connections at the old ones, where nobody answers any more.
func (c *Cluster) Move(dc int) error {
	c.mu.Lock()
	var old []endpoint
	c.endpoints = slices.DeleteFunc(c.endpoints, func(e endpoint) bool {
		if e.ID == dc {
			old = append(old, e)
		}
		return e.ID == dc
	})
	c.mu.Unlock()
	if len(old) == 0 {
		return fmt.Errorf("dctest: there is no DC %d", dc)
	}
	for _, e := range old {
		if err := c.open(DCConfig{ID: e.ID, CDN: e.CDN}, e.MediaOnly); err != nil {
			return err
		}
	}
	c.pushConfig()
	for _, e := range old {
		e.stop()
		c.mu.Lock()
		delete(c.memory, e.Address)
		c.mu.Unlock()
	}
	return nil
}

// pushConfig tells every session that gets updates to fetch the configuration.
func (c *Cluster) pushConfig() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for session := range c.listeners {
		session.Push(&api.UpdateShort{Update: &api.UpdateConfig{}, Date: int32(c.now().Unix())})
	}
}

// Route says where a DC is, by its id as in the obfuscation header: negative
// for a media-only endpoint, and with 10000 added or not.
func (c *Cluster) Route(dc int16) (address string, err error) {
	id, media := int(dc), dc < 0
	if media {
		id = -id
	}
	if id > testDC {
		id -= testDC
	}
	for _, e := range c.addresses() {
		if e.ID == id && (e.MediaOnly == media || e.CDN) {
			return e.Address, nil
		}
	}
	return "", fmt.Errorf("dctest: there is no DC %d", dc)
}

// testDC is added to the ids of DCs of test environments on the wire.
const testDC = 10000
