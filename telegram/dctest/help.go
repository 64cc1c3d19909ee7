package dctest

import (
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

func (r *request) config() *api.Config {
	cfg := &api.Config{
		Date: int32(r.now.Unix()), Expires: int32(r.now.Add(time.Hour).Unix()), TestMode: true, ThisDC: int32(r.DC),
		ChatSizeMax: 200, MegagroupSizeMax: 200000, ForwardedCountMax: 100, OnlineUpdatePeriodMs: 120000,
		OfflineBlurTimeoutMs: 5000, OfflineIdleTimeoutMs: 30000, OnlineCloudTimeoutMs: 300000, NotifyCloudDelayMs: 30000,
		NotifyDefaultDelayMs: 1500, PushChatPeriodMs: 60000, PushChatLimit: 2, EditTimeLimit: 172800, RevokeTimeLimit: 1 << 30,
		RevokePmTimeLimit: 1 << 30, RatingEDecay: 2419200, StickersRecentLimit: 200, ChannelsReadMediaPeriod: 604800,
		CallReceiveTimeoutMs: 20000, CallRingTimeoutMs: 90000, CallConnectTimeoutMs: 30000, CallPacketTimeoutMs: 10000,
		MeURLPrefix: "https://t.me/", CaptionLengthMax: 1024, MessageLengthMax: 4096, WebfileDCID: int32(r.c.cfg.HomeDC),
	}
	for _, e := range r.c.addresses() {
		host, port, err := net.SplitHostPort(e.Address)
		if err != nil {
			continue
		}
		n, _ := strconv.Atoi(port)
		addr, err := netip.ParseAddr(host)
		cfg.DCOptions = append(cfg.DCOptions, api.DcOption{
			ID: int32(e.ID), IPAddress: host, Port: int32(n), MediaOnly: e.MediaOnly, Cdn: e.CDN,
			Ipv6: err == nil && addr.Is6(), ThisPortOnly: true,
		})
	}
	return cfg
}

func (r *request) cdnConfig() *api.CdnConfig {
	cfg := &api.CdnConfig{}
	for _, dc := range r.c.cfg.DCs {
		if dc.CDN {
			cfg.PublicKeys = append(cfg.PublicKeys, api.CdnPublicKey{DCID: int32(dc.ID), PublicKey: r.c.dcs[dc.ID].PublicKey().PEM()})
		}
	}
	return cfg
}

// appConfig is what clients are told of limits.
// See core.telegram.org/api/config#client-configuration.
func (r *request) appConfig(q *api.HelpGetAppConfigRequest) tl.Object {
	const hash = 1
	if q.Hash == hash && !r.isFrozen() {
		return &api.HelpAppConfigNotModified{}
	}
	config := &api.JsonObject{}
	for _, v := range []struct {
		key   string
		value int
	}{
		{"upload_max_fileparts_default", r.c.cfg.UploadParts},
		{"upload_max_fileparts_premium", 2 * r.c.cfg.UploadParts},
		{"small_queue_max_active_operations_count", 5},
		{"large_queue_max_active_operations_count", 2},
		{"caption_length_limit_default", maxCaption},
		{"caption_length_limit_premium", maxCaptionPremium},
	} {
		config.Value = append(config.Value, api.JsonObjectValue{Key: v.key, Value: &api.JsonNumber{Value: float64(v.value)}})
	}
	if r.isFrozen() {
		since, until := &api.JsonNumber{Value: float64(r.now.Unix())}, &api.JsonNumber{Value: float64(r.now.Add(freezeFor).Unix())}
		config.Value = append(config.Value,
			api.JsonObjectValue{Key: "freeze_since_date", Value: since}, api.JsonObjectValue{Key: "freeze_until_date", Value: until},
			api.JsonObjectValue{Key: "freeze_appeal_url", Value: &api.JsonString{Value: freezeAppeal}})
		return &api.HelpAppConfig{Hash: hash + 1, Config: config}
	}
	return &api.HelpAppConfig{Hash: hash, Config: config}
}
