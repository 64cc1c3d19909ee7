package main

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"strconv"

	"github.com/gotd/td/telegram"
	"github.com/gotd/td/telegram/dcs"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/transport"
)

// A datacentersFile is what haul sim writes; docs/formats.md describes it.
type datacentersFile struct {
	HomeDC int  `json:"home_dc"`
	Test   bool `json:"test"`
	DC     []struct {
		ID        int    `json:"id"`
		Address   string `json:"address"`
		MediaOnly bool   `json:"media_only"`
		CDN       bool   `json:"cdn"`
	} `json:"dc"`
	PublicKeys []string `json:"public_keys"`
}

// clientOptions point gotd at the cluster: addresses and RSA keys, and the
// transport that haul uses by default.
func clientOptions(path string) (o telegram.Options, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return o, err
	}
	var f datacentersFile
	if err := json.Unmarshal(b, &f); err != nil {
		return o, fmt.Errorf("%s: %w", path, err)
	}
	o.DC, o.DCList.Test = f.HomeDC, f.Test
	o.Resolver = dcs.Plain(dcs.PlainOptions{Protocol: transport.Intermediate, Obfuscated: true})
	for _, dc := range f.DC {
		host, port, err := net.SplitHostPort(dc.Address)
		if err != nil {
			return o, err
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			return o, err
		}
		o.DCList.Options = append(o.DCList.Options, tg.DCOption{
			ID: dc.ID, IPAddress: host, Port: n, MediaOnly: dc.MediaOnly, CDN: dc.CDN,
		})
	}
	for _, text := range f.PublicKeys {
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			return o, fmt.Errorf("%s: public key is no PEM", path)
		}
		key, err := x509.ParsePKCS1PublicKey(block.Bytes)
		if err != nil {
			return o, err
		}
		o.PublicKeys = append(o.PublicKeys, telegram.PublicKey{RSA: (*rsa.PublicKey)(key)})
	}
	return o, nil
}
