package telegram

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/mtproto/transport"
)

// Datacenters is a Telegram to connect to: where its DCs are, and the RSA keys
// that prove them. Later the servers' own list (help.getConfig) comes first,
// and these addresses are what remains to try.
type Datacenters struct {
	Name       string   `json:"name"`
	HomeDC     int      `json:"home_dc"` // where a login starts
	Test       bool     `json:"test"`    // a test environment: other accounts, marked DC ids
	DC         []DC     `json:"dc"`
	PublicKeys []string `json:"public_keys"` // PEM, PKCS #1 ("RSA PUBLIC KEY")
	// BackupDomain has a TXT record with addresses for when none of these
	// answers, and BackupKey is the RSA key that proves it, in PEM. Both or none.
	BackupDomain string `json:"backup_domain,omitempty"`
	BackupKey    string `json:"backup_key,omitempty"`
}

// A DC is one endpoint of a data center. A data center may have several.
type DC struct {
	ID        int    `json:"id"`
	Address   string `json:"address"` // host:port
	MediaOnly bool   `json:"media_only"`
	CDN       bool   `json:"cdn"`
	Static    bool   `json:"static,omitempty"` // the address does not change: preferred behind SOCKS5
	// Secret is the obfuscation secret of the endpoint, in hex or base64: none,
	// 16 bytes, 17 of which the first is dd, or ee with 16 bytes and a domain.
	Secret string `json:"secret"`
}

// ErrDatacenters is wrapped by errors about a Datacenters that cannot be used.
var ErrDatacenters = errors.New("telegram: invalid datacenters")

const (
	// maxDatacenters bounds the file. A full list of addresses and keys has a few KiB.
	maxDatacenters = 1 << 20
	// maxDCID keeps ids apart from their wire forms, which add 10000.
	maxDCID = 9999
)

// LoadDatacenters reads and checks the file at path. Errors name the path;
// those about its content wrap ErrDatacenters.
func LoadDatacenters(path string) (*Datacenters, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("telegram: datacenters file: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read from
	b, err := io.ReadAll(io.LimitReader(f, maxDatacenters+1))
	if err != nil {
		return nil, fmt.Errorf("telegram: datacenters file: %w", err)
	}
	d, err := ParseDatacenters(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

// ParseDatacenters reads and checks the JSON form. Unknown fields are refused,
// for a misspelt one would be silently without effect. Errors wrap ErrDatacenters.
func ParseDatacenters(b []byte) (*Datacenters, error) {
	if len(b) > maxDatacenters {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrDatacenters, maxDatacenters)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	var d Datacenters
	if err := dec.Decode(&d); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDatacenters, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: something follows the JSON object", ErrDatacenters)
	}
	if err := d.Check(); err != nil {
		return nil, err
	}
	return &d, nil
}

// Check reports the first thing wrong with d. Errors wrap ErrDatacenters.
func (d *Datacenters) Check() error {
	if len(d.DC) == 0 {
		return fmt.Errorf("%w: no dc", ErrDatacenters)
	}
	home := false
	for i, dc := range d.DC {
		if err := dc.check(); err != nil {
			return fmt.Errorf("%w: dc[%d]: %w", ErrDatacenters, i, err)
		}
		home = home || dc.ID == d.HomeDC && !dc.MediaOnly && !dc.CDN
	}
	if !home {
		return fmt.Errorf("%w: home_dc %d has no ordinary endpoint", ErrDatacenters, d.HomeDC)
	}
	if (d.BackupDomain == "") != (d.BackupKey == "") {
		return fmt.Errorf("%w: backup_domain and backup_key go together", ErrDatacenters)
	}
	if k, err := crypto.ParsePublicKeys([]byte(d.BackupKey)); d.BackupKey != "" && (err != nil || len(k) == 0) {
		return fmt.Errorf("%w: backup_key is no RSA PUBLIC KEY", ErrDatacenters)
	}
	_, err := d.keys()
	return err
}

func (dc DC) check() error {
	if dc.ID < 1 || dc.ID > maxDCID {
		return fmt.Errorf("id %d is not in 1..%d", dc.ID, maxDCID)
	}
	host, port, err := net.SplitHostPort(dc.Address)
	if err != nil {
		return fmt.Errorf("address %q: want host:port", dc.Address)
	}
	if n, err := strconv.ParseUint(port, 10, 16); host == "" || err != nil || n == 0 {
		return fmt.Errorf("address %q: want host:port", dc.Address)
	}
	_, err = dc.secret()
	return err
}

// secret decodes Secret. Its value is in no error: it is one.
func (dc DC) secret() (transport.Secret, error) {
	s, err := transport.ParseSecret(dc.Secret)
	if err != nil {
		return s, fmt.Errorf("secret: %w", err)
	}
	return s, nil
}

// keys are the parsed PublicKeys.
func (d *Datacenters) keys() ([]*crypto.PublicKey, error) {
	if len(d.PublicKeys) == 0 {
		return nil, fmt.Errorf("%w: no public_keys", ErrDatacenters)
	}
	var keys []*crypto.PublicKey
	for i, pem := range d.PublicKeys {
		k, err := crypto.ParsePublicKeys([]byte(pem))
		if err != nil {
			return nil, fmt.Errorf("%w: public_keys[%d]: %w", ErrDatacenters, i, err)
		}
		if len(k) == 0 {
			return nil, fmt.Errorf("%w: public_keys[%d]: no RSA PUBLIC KEY block", ErrDatacenters, i)
		}
		keys = append(keys, k...)
	}
	return keys, nil
}

// endpoints are the addresses in the form that sessions take. Only of a checked d.
func (d *Datacenters) endpoints() []mtproto.Endpoint {
	var list []mtproto.Endpoint
	for _, dc := range d.DC {
		secret, err := dc.secret()
		if err != nil {
			continue // Check refuses it
		}
		list = append(list, mtproto.Endpoint{
			DC: dc.ID, Test: d.Test, MediaOnly: dc.MediaOnly, CDN: dc.CDN,
			Static: dc.Static, Address: dc.Address, Secret: secret,
		})
	}
	return list
}
