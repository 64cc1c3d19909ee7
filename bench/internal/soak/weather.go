package soak

import (
	"time"

	"github.com/tghaul/haul/telegram/dctest"
)

// messages is how many messages with files the channel has.
const messages = 570

// every are the multiples of n, for as long as an era may last.
func every(n int64) (at []int64) {
	for i := n; i < 2_000_000; i += n {
		at = append(at, i)
	}
	return at
}

// weather is what a cluster and the network in front of it do to their
// clients: every fault of the network, and those of servers beside.
func weather(seed uint64) dctest.Config {
	const kib, mib = 1 << 10, 1 << 20
	second := func(n float64) dctest.Duration { return dctest.Duration(n * float64(time.Second)) }
	return dctest.Config{
		Seed: seed, RTT: second(0.02), ConnBandwidth: 24 * mib, ReferenceLifetime: second(90), SaltLifetime: second(45),
		Channels: []dctest.ChannelConfig{{
			Username: channel, Title: "Soak",
			Files: []dctest.FileSpec{
				{Kind: "document", Count: 150, MinSize: 1, MaxSize: 200 * kib},
				{Kind: "photo", Count: 100, MinSize: 20 * kib, MaxSize: 400 * kib, DC: 4},
				{Kind: "document", Count: 100, MinSize: 200 * kib, MaxSize: 6 * mib, DC: 1},
				{Kind: "video", Count: 100, MinSize: 1 * mib, MaxSize: 16 * mib, DC: 4},
				{Kind: "document", Count: 60, MinSize: 1 * mib, MaxSize: 24 * mib, DC: 5},
				{Kind: "document", Count: 30, MinSize: 1 * mib, MaxSize: 12 * mib, DC: 5, CDN: true},
				{Kind: "document", Count: 20, MinSize: 16 * mib, MaxSize: 64 * mib},
				{Kind: "document", Count: 10, MinSize: 0, MaxSize: 5},
			},
		}},
		Flood: []dctest.FloodRule{
			{Method: "upload.getFile", DC: 5, Kind: "token_bucket", Rate: 60, Burst: 60},
			{Method: "upload.getFile", DC: 1, Kind: "sliding_window", Burst: 300, Window: second(5), Premium: true},
			{Method: "upload.getCdnFile", Kind: "token_bucket", Rate: 80, Burst: 80},
		},
		Faults: []dctest.Fault{
			{Kind: "flood_wait", Rate: 0.004, Seconds: 2},
			{Kind: "flood_wait", Rate: 0.001, Seconds: 5},
			{Kind: "flood_wait", Method: "upload.save*", Rate: 0.01, Seconds: 2},
			{Kind: "flood_wait", Method: "messages.sendMedia", Rate: 0.1, Seconds: 1},
			{Kind: "flood_wait", Method: "channels.getMessages", Rate: 0.1, Seconds: 1},
			{Kind: "file_reference_expired", Rate: 0.01},
			{Kind: "references_expired", Rate: 0.001},
			{Kind: "file_migrate", Rate: 0.004},
			{Kind: "short_part", Rate: 0.01},
			{Kind: "error", Rate: 0.01, Code: -503, Message: "Timedout"},
			{Kind: "error", Method: "*", Rate: 0.005, Code: 500, Message: "RPC_CALL_FAIL"},
			{Kind: "reset", Method: "*", Rate: 0.003},
			{Kind: "flood_wait", Method: "upload.getFileHashes", Rate: 0.02, Seconds: 1},
			{Kind: "flood_wait", Method: "upload.reuploadCdnFile", Rate: 0.2, Seconds: 1},
			{Kind: "flood_wait", Method: "upload.getCdnFileHashes", Rate: 0.1, Seconds: 1},
			{Kind: "error", Method: "messages.sendMedia", Rate: 0.05, Code: 500, Message: "RPC_SEND_FAIL"},
			{Kind: "reset", Method: "messages.sendMedia", Rate: 0.1},
			{Kind: "reset", Method: "auth.*", Rate: 0.1},
			{Kind: "cut_answer", Method: "messages.sendMedia", Rate: 0.2},
			{Kind: "cut_answer", Method: "*", Rate: 0.003},
			{Kind: "bad_salt", Rate: 0.005},
			// Far apart: two that follow one another would be believed.
			{Kind: "transport_error", Code: -404, At: every(700)},
			{Kind: "transport_error", Code: -429, At: every(1900)},
		},
		Network: []dctest.NetworkFault{
			{Kind: "reset", Rate: 0.3, After: 100, Within: 30 * mib},
			{Kind: "reset", Rate: 0.05, After: 0, Within: 2000},
			{Kind: "half_open", Rate: 0.06, After: 2000, Within: 20 * mib},
			{Kind: "half_open", Rate: 0.03, After: 2000, Within: 20 * mib, Direction: "down"},
			{Kind: "half_open", Rate: 0.03, After: 1000, Within: 10 * kib, Direction: "up"},
			{Kind: "stall", Rate: 0.1, After: 2000, Within: 20 * mib, For: second(12)},
			{Kind: "trickle", Rate: 0.06, After: 2000, Within: 20 * mib},
			{Kind: "latency", Rate: 0.2, Within: 8 * mib, Delay: second(0.08), Jitter: second(0.06)},
			{Kind: "fragment", Rate: 0.2, Within: 8 * mib},
			{Kind: "corrupt", Rate: 0.15, After: 2000, Within: 20 * mib, Direction: "down"},
			{Kind: "corrupt", Rate: 0.1, After: 1000, Within: 1 * mib, Direction: "up"},
		},
	}
}
