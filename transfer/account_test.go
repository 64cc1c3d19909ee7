package transfer_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/transfer"
)

// TestSignedOut: in the middle of a run the server ends the account, in each
// of the ways that it has, at the home DC and at another. The run ends within a
// second, nothing is tried again, and what was fetched is kept.
func TestSignedOut(t *testing.T) {
	t.Parallel()
	tests := []struct {
		message string
		code    int
		state   telegram.AccountState
	}{
		{"AUTH_KEY_UNREGISTERED", 401, telegram.LoginEnded},
		{"SESSION_REVOKED", 401, telegram.LoginRevoked},
		{"SESSION_EXPIRED", 401, telegram.LoginExpired},
		{"USER_DEACTIVATED", 401, telegram.Deactivated},
		{"USER_DEACTIVATED_BAN", 401, telegram.Banned},
		{"PHONE_NUMBER_BANNED", 400, telegram.Banned},
		{"AUTH_KEY_DUPLICATED", 406, telegram.KeyDuplicated},
	}
	for _, tt := range tests {
		for _, dc := range []int{2, 4} {
			t.Run(tt.message+map[int]string{2: " at home", 4: " elsewhere"}[dc], func(t *testing.T) {
				fault := dctest.Fault{Kind: "signed_out", Code: tt.code, Message: tt.message, At: []int64{14}}
				synctest.Test(t, func(t *testing.T) { signedOut(t, dc, fault, tt.state) })
			})
		}
	}
}

// signedOut downloads from a DC until the account is signed out.
func signedOut(t *testing.T, dc int, fault dctest.Fault, state telegram.AccountState) {
	cluster, err := dctest.Start(t.Context(), exportOf(dc, fault))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close() //nolint:errcheck // the test is about what happens before
	client := signedIn(t, cluster)
	defer client.Close() //nolint:errcheck // the test is about what happens before
	dir := t.TempDir()
	store := checkpoint.NewMemory()
	start := time.Now()
	var last time.Time // when a part came last
	report, err := archiveAll(t, client, dir, transfer.Options{
		Checkpoint: store, PartSize: 256 << 10, ProgressInterval: 50 * time.Millisecond,
		Events: func(e transfer.Event) {
			if p, ok := e.(transfer.Progress); ok && p.Bytes > 0 {
				last = p.Time
			}
		},
	})
	end := time.Now()
	if !errors.Is(err, telegram.ErrLoggedOut) || len(report.Failed) != 0 || report.BytesReceived == 0 {
		t.Fatalf("%v, %d files failed, %d bytes; want ErrLoggedOut, no file to blame, and some bytes", err, len(report.Failed), report.BytesReceived)
	}
	checkAccount(t, err, state)
	// At 1 MiB/s a connection the fourteenth request comes soon.
	if took := end.Sub(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	if silent := end.Sub(last); silent > time.Second {
		t.Errorf("ended %v after the last progress, want 1s at most", silent)
	}
	stats := cluster.Stats()
	if n := requests(&stats, "upload.getFile"); n > 80 {
		t.Errorf("%d requests for parts, want the 14 until the end and what is sent until that is certain", n)
	}
	before := total(&stats)
	if _, err := client.Self(t.Context()); !errors.Is(err, telegram.ErrLoggedOut) {
		t.Errorf("a call after the end: %v", err)
	}
	if _, err := archiveAll(t, client, dir, transfer.Options{Checkpoint: store, PartSize: 256 << 10}); !errors.Is(err, telegram.ErrLoggedOut) {
		t.Errorf("another run: %v", err)
	}
	if stats = cluster.Stats(); total(&stats) != before {
		t.Errorf("%d calls after the end, want none", total(&stats)-before)
	}

	again := signedIn(t, cluster)
	defer again.Close() //nolint:errcheck // the test is about what happens before
	report, err = archiveAll(t, again, dir, transfer.Options{Checkpoint: store, PartSize: 256 << 10})
	if err != nil || report.FilesDone+report.FilesSkipped != 6 || report.BytesReceived >= 6*3<<19 {
		t.Errorf("after another login: %v, %d files, %d bytes received; want all files, and some parts kept", err, report.FilesDone, report.BytesReceived)
	}
}

// checkAccount wants an error to say what is wrong with the account.
func checkAccount(t *testing.T, err error, state telegram.AccountState) {
	t.Helper()
	var account *telegram.AccountError
	if !errors.As(err, &account) || account.State != state {
		t.Errorf("got %v, want an AccountError that says %s", err, state)
	}
}

// TestUploadBarred: in the middle of an upload, or when its message is sent, the
// account loses its login or the right to send. The run ends within a second, no
// file is blamed, and later only what is missing is sent.
func TestUploadBarred(t *testing.T) {
	fault := func(kind, method string, at int64, code int, message string) dctest.Fault {
		return dctest.Fault{Kind: kind, Method: method, At: []int64{at}, Code: code, Message: message}
	}
	const part, send = "upload.saveBigFilePart", "messages.sendMedia"
	for _, tt := range []struct {
		fault dctest.Fault
		state telegram.AccountState
	}{
		{fault("signed_out", part, 9, 401, "SESSION_REVOKED"), telegram.LoginRevoked},
		{fault("signed_out", part, 9, 401, "SESSION_EXPIRED"), telegram.LoginExpired},
		{fault("signed_out", part, 9, 401, "AUTH_KEY_UNREGISTERED"), telegram.LoginEnded},
		{fault("signed_out", part, 9, 401, "USER_DEACTIVATED"), telegram.Deactivated},
		{fault("signed_out", part, 9, 401, "USER_DEACTIVATED_BAN"), telegram.Banned},
		{fault("signed_out", part, 9, 406, "AUTH_KEY_DUPLICATED"), telegram.KeyDuplicated},
		{fault("signed_out", send, 1, 401, "USER_DEACTIVATED_BAN"), telegram.Banned},
		{fault("error", part, 9, 400, "PHONE_NUMBER_BANNED"), telegram.Banned},
		{fault("frozen", part, 9, 0, ""), telegram.Frozen},
		{fault("frozen", send, 1, 0, ""), telegram.Frozen},
		{fault("error", send, 1, 400, "PEER_FLOOD"), telegram.Limited},
	} {
		t.Run(tt.fault.Kind+" "+tt.fault.Message+" at "+tt.fault.Method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { uploadBarred(t, tt.fault, tt.state) })
		})
	}
}

func uploadBarred(t *testing.T, fault dctest.Fault, state telegram.AccountState) {
	const size = 11 << 20
	cluster, err := dctest.Start(t.Context(), exportOf(2, fault))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close() //nolint:errcheck // the test is about what happens before
	source := filepath.Join(t.TempDir(), "a.bin")
	if err := os.WriteFile(source, bytes.Repeat([]byte("0123456789abcdef"), size/16), 0o600); err != nil {
		t.Fatal(err)
	}
	store := checkpoint.NewMemory()
	send := func(events func(transfer.Event)) (*telegram.Client, *transfer.Report, error) {
		client := signedIn(t, cluster)
		t.Cleanup(func() { _ = client.Close() })
		peer, err := client.Resolve(t.Context(), "@"+dctest.BigChannel)
		if err != nil {
			t.Fatal(err)
		}
		o := transfer.Options{Checkpoint: store, ProgressInterval: 50 * time.Millisecond, Events: events}
		report, err := transfer.New(client, o).Upload(t.Context(), func(yield func(transfer.Upload, error) bool) {
			yield(transfer.Upload{Path: source, To: peer, Job: "job"}, nil)
		})
		return client, report, err
	}
	var last time.Time // when a part was last confirmed
	var confirmed int64
	client, report, err := send(func(e transfer.Event) {
		if p, ok := e.(transfer.Progress); ok && p.Bytes > confirmed {
			last, confirmed = p.Time, p.Bytes
		}
	})
	if silent := time.Since(last); silent > time.Second {
		t.Errorf("ended %v after the last part, want 1s at most", silent)
	}
	checkAccount(t, err, state)
	if len(report.Failed) != 0 || report.FilesDone != 0 || confirmed == 0 {
		t.Errorf("%d files failed, %d done, %d bytes; want no file to blame", len(report.Failed), report.FilesDone, confirmed)
	}
	if account := (*telegram.AccountError)(nil); state == telegram.Frozen && errors.As(err, &account) {
		if account.Appeal == "" || time.Until(account.Until) < 29*24*time.Hour {
			t.Errorf("frozen until %v, appeal %q", account.Until, account.Appeal)
		}
	}
	before := cluster.Stats()
	cluster.Freeze(client.Account(), false)
	_, report, err = send(nil)
	if err != nil || report.FilesDone != 1 {
		t.Fatalf("once it is over: %v, %d files done, failed %v", err, report.FilesDone, report.Failed)
	}
	after := cluster.Stats()
	const method = "upload.saveBigFilePart"
	again := after.Methods[method]["2"].Answers - before.Methods[method]["2"].Answers
	if again >= size/(512<<10) && fault.Method == method || fault.Method != method && again != 0 {
		t.Errorf("%d parts sent again of %d, want only what was missing", again, size/(512<<10))
	}
	if len(after.Sent) != 1 {
		t.Errorf("%d messages, want one", len(after.Sent))
	}
}

// TestSignedOutWhileListing: the end of the login that the listing meets ends
// the run at once, however long the files before would have to wait.
func TestSignedOutWhileListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := exportOf(2, dctest.Fault{Kind: "flood_wait", Rate: 1, Seconds: 3600},
			dctest.Fault{Kind: "signed_out", Method: "channels.getMessages", At: []int64{10}, Message: "SESSION_REVOKED"})
		cfg.Channels[0].Files[0] = dctest.FileSpec{Kind: "document", Count: 1200, MinSize: 100}
		cluster, err := dctest.Start(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer cluster.Close() //nolint:errcheck // the test is about what happens before
		client := signedIn(t, cluster)
		defer client.Close() //nolint:errcheck // the test is about what happens before
		start := time.Now()
		_, err = archiveAll(t, client, t.TempDir(), transfer.Options{})
		checkAccount(t, err, telegram.LoginRevoked)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("ended after %v", took)
		}
	})
}

// archiveAll downloads all files of the big channel.
func archiveAll(t *testing.T, client *telegram.Client, dir string, o transfer.Options) (*transfer.Report, error) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close() //nolint:errcheck // only read in the end
	return transfer.New(client, o).Download(t.Context(), func(yield func(transfer.Download, error) bool) {
		peer, err := client.Resolve(t.Context(), "@"+dctest.BigChannel)
		if err != nil {
			yield(transfer.Download{}, err)
			return
		}
		for m, err := range client.Messages(t.Context(), peer, telegram.MessagesOptions{}) {
			if err != nil {
				yield(transfer.Download{}, err)
				return
			}
			for _, f := range m.Files {
				if !yield(transfer.Download{File: f, Dir: root}, nil) {
					return
				}
			}
		}
	})
}

// requests counts the calls of a method, total those of all.
func requests(s *dctest.Stats, method string) (n int64) {
	for _, m := range s.Methods[method] {
		n += m.Requests
	}
	return n
}

func total(s *dctest.Stats) (n int64) {
	for method := range s.Methods {
		n += requests(s, method)
	}
	return n
}
