package main

import (
	"flag"

	"github.com/tghaul/haul/bench/internal/rig"
	"github.com/tghaul/haul/telegram/dctest"
)

// references lets the references to all files expire at once, in the middle of
// an archive, and counts the calls that this costs: those beyond what the same
// archive takes when none expires.
func references(f *flag.FlagSet) func(*rig.Rig, *rig.Report) error {
	count := f.Int("files", 10_000, "number of files, of 4 to 20 KiB")
	at := f.Int64("at", 500, "request for a part at which the references expire")
	return func(r *rig.Rig, report *rig.Report) error {
		scenario := manyFiles(*count, 4<<10, 20<<10)
		_, calm, err := archiveAll(r, scenario, *count)
		if err != nil {
			return err
		}
		scenario.Faults = []dctest.Fault{{Kind: "references_expired", At: []int64{*at}}}
		res, stats, err := archiveAll(r, scenario, *count)
		if err != nil {
			return err
		}
		before, after := calls(calm), calls(stats)
		report.AtMost("extra_calls", float64(after-before)/float64(before), 0.01, "")
		report.Value("calls_without", float64(before), "")
		report.Value("calls_with", float64(after), "")
		report.Value("refreshes", float64(res.Run.ReferenceRefreshes), "")
		report.Value("expired_answers", float64(errorsOf(stats, "upload.getFile", "FILE_REFERENCE_EXPIRED")), "")
		return nil
	}
}

// calls counts all calls of the API.
func calls(s *dctest.Stats) (n int64) {
	for _, dcs := range s.Methods {
		for _, m := range dcs {
			n += m.Requests
		}
	}
	return n
}

// errorsOf counts the answers of a method with an error, over all DCs.
func errorsOf(s *dctest.Stats, method, text string) (n int64) {
	for _, m := range s.Methods[method] {
		n += m.Errors[text]
	}
	return n
}
