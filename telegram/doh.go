package telegram

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// BackupResolvers are public resolvers that answer DNS over HTTPS as JSON
// (developers.google.com/speed/public-dns/docs/doh/json).
func BackupResolvers() []string {
	return []string{"https://dns.google/resolve", "https://cloudflare-dns.com/dns-query"}
}

const (
	maxDNSAnswer = 64 << 10
	typeTXT      = 16
)

// BackupOverHTTPS is a BackupFunc that asks resolvers over HTTPS, one after the
// other until one answers. The client decides by which way: with that of a
// proxy, nothing goes past it.
func BackupOverHTTPS(client *http.Client, resolvers ...string) BackupFunc {
	return func(ctx context.Context, domain string) ([]string, error) {
		var failed []error
		for _, r := range resolvers {
			txt, err := askHTTPS(ctx, client, r, domain)
			if err == nil {
				return txt, nil
			}
			failed = append(failed, fmt.Errorf("%s: %w", r, err))
		}
		return nil, errors.Join(failed...)
	}
}

func askHTTPS(ctx context.Context, client *http.Client, resolver, domain string) ([]string, error) {
	q := url.Values{"name": {domain}, "type": {"TXT"}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, resolver+"?"+q.Encode(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/dns-json")
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close() //nolint:errcheck // only read from
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP status %d", answer.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxDNSAnswer))
	if err != nil {
		return nil, err
	}
	return parseDNSAnswer(body)
}

// parseDNSAnswer takes the strings of the TXT records out of an answer. A
// record is written as its strings in quotes, or as one without.
func parseDNSAnswer(body []byte) ([]string, error) {
	var answer struct {
		Status int
		Answer []struct {
			Type int    `json:"type"`
			Data string `json:"data"`
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("DNS answer: %w", err)
	}
	var txt []string
	for _, a := range answer.Answer {
		if a.Type != typeTXT {
			continue
		}
		for s := range strings.SplitSeq(a.Data, `"`) {
			if s = strings.TrimSpace(s); s != "" {
				txt = append(txt, s)
			}
		}
	}
	if len(txt) == 0 {
		return nil, fmt.Errorf("no TXT record (DNS status %d)", answer.Status)
	}
	return txt, nil
}
