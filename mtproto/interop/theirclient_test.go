package interop

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/gotd/td/session"
	"github.com/gotd/td/telegram"
	"github.com/gotd/td/telegram/auth"
	"github.com/gotd/td/telegram/dcs"
	"github.com/gotd/td/telegram/message"
	"github.com/gotd/td/telegram/uploader"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/transport"

	ours "github.com/tghaul/haul/mtproto/transport"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/telegram/dctest/relay"
)

// TestTheirClientOurCluster lets gotd's client live through a whole visit to
// the simulated cluster, once for each transport and with PFS and CDN. Padded
// intermediate is not among them: gotd cuts off at most 3 bytes of padding, of
// the 15 that may come.
func TestTheirClientOurCluster(t *testing.T) {
	cluster, err := dctest.Start(t.Context(), dctest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Close() })

	for _, tt := range []struct {
		name       string
		protocol   dcs.Protocol
		obfuscated bool
		pfs, cdn   bool
	}{
		{name: "abridged", protocol: transport.Abridged},
		{name: "intermediate", protocol: transport.Intermediate},
		{name: "full", protocol: transport.Full},
		{name: "obfuscated abridged", protocol: transport.Abridged, obfuscated: true},
		{name: "temporary keys", protocol: transport.Intermediate, pfs: true},
		{name: "CDN", protocol: transport.Intermediate, cdn: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			options := clientOptions(t, cluster)
			options.Resolver = dcs.Plain(dcs.PlainOptions{Protocol: tt.protocol, Obfuscated: tt.obfuscated})
			options.EnablePFS = tt.pfs
			options.AllowCDN = tt.cdn
			client := telegram.NewClient(1, "0123456789abcdef0123456789abcdef", options)
			err := client.Run(ctx, func(ctx context.Context) error { return visit(ctx, t, client, cluster, uploader.MaximumPartSize) })
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestTheirClientOurMTProxy lets gotd's client live through the same visit
// behind an MTProxy of ours, with each kind of secret. The proxy pads by no more
// than the 3 bytes that gotd can take off. With fake TLS gotd writes whatever it
// sends as one record, and cuts its length to 16 bits: so its parts stay small.
func TestTheirClientOurMTProxy(t *testing.T) {
	cluster, err := dctest.Start(t.Context(), dctest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Close() })
	const key = "000102030405060708090a0b0c0d0e0f"
	for _, tt := range []struct{ name, secret string }{
		{"plain", key},
		{"dd", "dd" + key},
		{"ee", "ee" + key + hex.EncodeToString([]byte("www.example.com"))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			secret, err := ours.ParseSecret(tt.secret)
			if err != nil {
				t.Fatal(err)
			}
			proxy, err := relay.New(relay.Config{Kind: relay.MTProxy, Secret: secret, Route: cluster.Route, MaxPadding: 3})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = proxy.Close() })
			address, err := proxy.Listen("127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			options := clientOptions(t, cluster)
			if options.Resolver, err = dcs.MTProxy(address, secret.Bytes(), dcs.MTProxyOptions{}); err != nil {
				t.Fatal(err)
			}
			client := telegram.NewClient(1, "0123456789abcdef0123456789abcdef", options)
			partSize := uploader.MaximumPartSize
			if secret.Domain != "" {
				partSize = 32 << 10
			}
			err = client.Run(ctx, func(ctx context.Context) error { return visit(ctx, t, client, cluster, partSize) })
			if err != nil {
				t.Fatal(err)
			}
			if stats := proxy.Stats(); stats.Relayed == 0 || len(stats.Refused) > 0 {
				t.Errorf("the proxy saw %+v", stats)
			}
		})
	}
}

// clientOptions points gotd at the cluster: addresses and RSA keys, nothing else.
func clientOptions(t *testing.T, cluster *dctest.Cluster) telegram.Options {
	t.Helper()
	list := cluster.Datacenters()
	o := telegram.Options{
		DC:             list.HomeDC,
		DCList:         dcs.List{Test: list.Test},
		SessionStorage: &session.StorageMemory{},
	}
	for _, dc := range list.DC {
		host, port, err := net.SplitHostPort(dc.Address)
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		o.DCList.Options = append(o.DCList.Options, tg.DCOption{
			ID: dc.ID, IPAddress: host, Port: n, MediaOnly: dc.MediaOnly, CDN: dc.CDN,
		})
	}
	for _, text := range list.PublicKeys {
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			t.Fatalf("public key is no PEM: %q", text)
		}
		key, err := x509.ParsePKCS1PublicKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		o.PublicKeys = append(o.PublicKeys, telegram.PublicKey{RSA: (*rsa.PublicKey)(key)})
	}
	return o
}

// visit signs in by phone, resolves the channel, pages its history, downloads
// a few files of each DC, uploads one, sends it, and fetches it back.
func visit(ctx context.Context, t *testing.T, client *telegram.Client, cluster *dctest.Cluster, partSize int) error {
	flow := auth.NewFlow(auth.CodeOnly(dctest.Phone, auth.CodeAuthenticatorFunc(
		func(context.Context, *tg.AuthSentCode) (string, error) { return dctest.Code, nil },
	)), auth.SendCodeOptions{})
	if err := client.Auth().IfNecessary(ctx, flow); err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	api := client.API()
	resolved, err := api.ContactsResolveUsername(ctx, &tg.ContactsResolveUsernameRequest{Username: dctest.BigChannel})
	if err != nil {
		return fmt.Errorf("resolve: %w", err)
	}
	channel, ok := resolved.Chats[0].(*tg.Channel)
	if !ok {
		return fmt.Errorf("resolved to %T", resolved.Chats[0])
	}
	peer := channel.AsInputPeer()
	documents, err := pageHistory(ctx, t, api, peer)
	if err != nil {
		return err
	}
	if err := fetchSome(ctx, t, client, cluster, documents); err != nil {
		return err
	}
	for _, size := range []int{70_000, 11 << 20} {
		if err := roundTrip(ctx, client, peer, size, partSize); err != nil {
			return fmt.Errorf("upload of %d bytes: %w", size, err)
		}
	}
	return nil
}

func pageHistory(ctx context.Context, t *testing.T, api *tg.Client, peer tg.InputPeerClass) ([]*tg.Document, error) {
	var documents []*tg.Document
	seen := map[int]bool{}
	for offset := 0; ; {
		answer, err := api.MessagesGetHistory(ctx, &tg.MessagesGetHistoryRequest{Peer: peer, OffsetID: offset, Limit: 100})
		if err != nil {
			return nil, fmt.Errorf("history before %d: %w", offset, err)
		}
		page, ok := answer.AsModified()
		if !ok {
			return nil, fmt.Errorf("history is %T", answer)
		}
		if len(page.GetMessages()) == 0 {
			break
		}
		for _, m := range page.GetMessages() {
			if seen[m.GetID()] {
				return nil, fmt.Errorf("message %d came twice", m.GetID())
			}
			seen[m.GetID()] = true
			offset = m.GetID()
			msg, ok := m.(*tg.Message)
			if !ok {
				continue
			}
			media, ok := msg.Media.(*tg.MessageMediaDocument)
			if !ok {
				continue
			}
			if doc, ok := media.Document.(*tg.Document); ok {
				documents = append(documents, doc)
			}
		}
	}
	t.Logf("%d messages, %d documents", len(seen), len(documents))
	if len(seen) < 100 || len(documents) == 0 {
		return nil, fmt.Errorf("only %d messages with %d documents: paging is not tested", len(seen), len(documents))
	}
	return documents, nil
}

// fetchSome downloads up to three documents below 4 MiB from each DC and
// compares them with what the cluster says of them.
func fetchSome(ctx context.Context, t *testing.T, client *telegram.Client, cluster *dctest.Cluster, documents []*tg.Document) error {
	want := map[int64]string{}
	for _, f := range cluster.Files() {
		want[f.ID] = f.SHA256
	}
	fetched := map[int]int{}
	for _, doc := range documents {
		if fetched[doc.DCID] == 3 || doc.Size > 4<<20 || doc.Size == 0 {
			continue
		}
		var b bytes.Buffer
		location := doc.AsInputDocumentFileLocation("")
		if err := download(ctx, client, doc.DCID, location, &b); err != nil {
			return fmt.Errorf("document %d on DC %d: %w", doc.ID, doc.DCID, err)
		}
		sum := sha256.Sum256(b.Bytes())
		if got := hex.EncodeToString(sum[:]); got != want[doc.ID] {
			return fmt.Errorf("document %d: SHA-256 is %s, the cluster says %q", doc.ID, got, want[doc.ID])
		}
		fetched[doc.DCID]++
	}
	t.Logf("documents fetched by DC: %v", fetched)
	if len(fetched) < 2 {
		return fmt.Errorf("documents came from %d DC only: authorisation transfer is not tested", len(fetched))
	}
	return nil
}

// download goes to a guest DC by a connection of its own, which exports and
// imports the authorisation; at home it uses gotd's downloader as it stands.
func download(ctx context.Context, client *telegram.Client, dc int, location tg.InputFileLocationClass, w io.Writer) error {
	if dc == client.Config().ThisDC {
		_, err := client.Download(location).Stream(ctx, w)
		return err
	}
	invoker, err := client.DC(ctx, dc, 1)
	if err != nil {
		return err
	}
	defer func() { _ = invoker.Close() }()
	_, err = client.Downloader().Download(tg.NewClient(invoker), location).Stream(ctx, w)
	return err
}

// roundTrip uploads random bytes, sends them as a document, and fetches them back.
func roundTrip(ctx context.Context, client *telegram.Client, peer tg.InputPeerClass, size, partSize int) error {
	data := make([]byte, size)
	if _, err := rand.Read(data); err != nil {
		return err
	}
	api := client.API()
	file, err := uploader.NewUploader(api).WithPartSize(partSize).WithThreads(2).FromBytes(ctx, "there and back.bin", data)
	if err != nil {
		return err
	}
	updates, err := message.NewSender(api).To(peer).Media(ctx, message.UploadedDocument(file).
		MIME("application/octet-stream").ForceFile(true).Filename("there and back.bin"))
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	doc, err := sentDocument(updates)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := download(ctx, client, doc.DCID, doc.AsInputDocumentFileLocation(""), &b); err != nil {
		return fmt.Errorf("fetch back: %w", err)
	}
	if !bytes.Equal(b.Bytes(), data) {
		return fmt.Errorf("fetched %d bytes back that differ from the %d sent", b.Len(), len(data))
	}
	return nil
}

func sentDocument(updates tg.UpdatesClass) (*tg.Document, error) {
	all, ok := updates.(*tg.Updates)
	if !ok {
		return nil, fmt.Errorf("answer to sendMedia is %T", updates)
	}
	for _, u := range all.Updates {
		if n, ok := u.(*tg.UpdateNewChannelMessage); ok {
			if m, ok := n.Message.(*tg.Message); ok {
				if media, ok := m.Media.(*tg.MessageMediaDocument); ok {
					if doc, ok := media.Document.(*tg.Document); ok {
						return doc, nil
					}
				}
			}
		}
	}
	return nil, fmt.Errorf("no document in the answer to sendMedia: %v", updates)
}
