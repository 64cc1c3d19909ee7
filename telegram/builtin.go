package telegram

import (
	"net"
	"strconv"
)

// Where Telegram is: core.telegram.org/resources/cidr.txt, and what the
// official clients have built in. These addresses are only where to begin; the
// servers' own list (help.getConfig) takes their place at the first connection.

// Production is Telegram itself. The result is the caller's.
func Production() *Datacenters {
	d := &Datacenters{
		Name: "Telegram", HomeDC: 2, PublicKeys: []string{productionKey},
		BackupDomain: "apv3.stel.com", BackupKey: backupKey,
	}
	d.DC = onPorts(
		DC{ID: 1, Address: "149.154.175.50"},
		DC{ID: 1, Address: "2001:b28:f23d:f001::a"},
		DC{ID: 2, Address: "149.154.167.51"},
		DC{ID: 2, Address: "2001:67c:4e8:f002::a"},
		DC{ID: 2, Address: "95.161.76.100"},
		DC{ID: 3, Address: "149.154.175.100"},
		DC{ID: 3, Address: "2001:b28:f23d:f003::a"},
		DC{ID: 4, Address: "149.154.167.91"},
		DC{ID: 4, Address: "2001:67c:4e8:f004::a"},
		DC{ID: 5, Address: "149.154.171.5"},
		DC{ID: 5, Address: "2001:b28:f23f:f005::a"},
	)
	return d
}

// Test is Telegram's test environment, which has accounts of its own. The
// result is the caller's.
func Test() *Datacenters {
	d := &Datacenters{
		Name: "Telegram test", HomeDC: 2, Test: true, PublicKeys: []string{testServersKey},
		BackupDomain: "tapv3.stel.com", BackupKey: backupKey,
	}
	d.DC = onPorts(
		DC{ID: 1, Address: "149.154.175.10"},
		DC{ID: 1, Address: "2001:b28:f23d:f001::e"},
		DC{ID: 2, Address: "149.154.167.40"},
		DC{ID: 2, Address: "2001:67c:4e8:f002::e"},
		DC{ID: 3, Address: "149.154.175.117"},
		DC{ID: 3, Address: "2001:b28:f23d:f003::e"},
	)
	return d
}

// ports are those that the servers listen on, the better ones first.
func ports() []int { return []int{443, 80, 5222} }

// onPorts lists hosts on each port: all of them on the best one, then on the next.
func onPorts(hosts ...DC) (list []DC) {
	for _, port := range ports() {
		for _, dc := range hosts {
			dc.Address = net.JoinHostPort(dc.Address, strconv.Itoa(port))
			list = append(list, dc)
		}
	}
	return list
}

const (
	productionKey = `-----BEGIN RSA PUBLIC KEY-----
MIIBCgKCAQEA6LszBcC1LGzyr992NzE0ieY+BSaOW622Aa9Bd4ZHLl+TuFQ4lo4g
5nKaMBwK/BIb9xUfg0Q29/2mgIR6Zr9krM7HjuIcCzFvDtr+L0GQjae9H0pRB2OO
62cECs5HKhT5DZ98K33vmWiLowc621dQuwKWSQKjWf50XYFw42h21P2KXUGyp2y/
+aEyZ+uVgLLQbRA1dEjSDZ2iGRy12Mk5gpYc397aYp438fsJoHIgJ2lgMv5h7WY9
t6N/byY9Nw9p21Og3AoXSL2q/2IJ1WRUhebgAdGVMlV1fkuOQoEzR7EdpqtQD9Cs
5+bfo3Nhmcyvk5ftB0WkJ9z6bNZ7yxrP8wIDAQAB
-----END RSA PUBLIC KEY-----
`
	testServersKey = `-----BEGIN RSA PUBLIC KEY-----
MIIBCgKCAQEAyMEdY1aR+sCR3ZSJrtztKTKqigvO/vBfqACJLZtS7QMgCGXJ6XIR
yy7mx66W0/sOFa7/1mAZtEoIokDP3ShoqF4fVNb6XeqgQfaUHd8wJpDWHcR2OFwv
plUUI1PLTktZ9uW2WE23b+ixNwJjJGwBDJPQEQFBE+vfmH0JP503wr5INS1poWg/
j25sIWeYPHYeOrFp/eXaqhISP6G+q2IeTaWTXpwZj4LzXq5YOpk4bYEQ6mvRq7D1
aHWfYmlEGepfaYR8Q0YqvvhYtMte3ITnuSJs171+GDqpdKcSwHnd6FudwGO4pcCO
j4WcDuXc2CTHgH8gFTNhp/Y8/SpDOhvn9QIDAQAB
-----END RSA PUBLIC KEY-----
`
	// backupKey proves the configuration that Telegram keeps in the DNS.
	backupKey = `-----BEGIN RSA PUBLIC KEY-----
MIIBCgKCAQEAyr+18Rex2ohtVy8sroGPBwXD3DOoKCSpjDqYoXgCqB7ioln4eDCF
fOBUlfXUEvM/fnKCpF46VkAftlb4VuPDeQSS/ZxZYEGqHaywlroVnXHIjgqoxiAd
192xRGreuXIaUKmkwlM9JID9WS2jUsTpzQ91L8MEPLJ/4zrBwZua8W5fECwCCh2c
9G5IzzBm+otMS/YKwmR1olzRCyEkyAEjXWqBI9Ftv5eG8m0VkBzOG655WIYdyV0H
fDK/NWcvGqa0w/nriMD6mDjKOryamw0OP9QuYgMN0C9xMW9y8SmP4h92OAWodTYg
Y1hZCxdv6cs5UnW9+PWvS+WIbkh+GaWYxwIDAQAB
-----END RSA PUBLIC KEY-----
`
)
