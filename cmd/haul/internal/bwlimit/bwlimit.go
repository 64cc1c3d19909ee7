// Package bwlimit reads bandwidth limits as rclone's --bwlimit takes them, so
// that what people know and have in their scripts works here too:
//
//	10M                          10 MiB/s each way
//	1M:off                       1 MiB/s up, no limit down
//	512                          512 KiB/s: a bare number is in KiB/s
//	"08:00,512k 19:00,10M 23:00,off"
//	"Mon-00:00,512 Fri-23:59,10M Sat-10:00,1M Sun-20:00,off"
//
// See rclone.org/docs/#bwlimit-bandwidth-spec.
package bwlimit

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Rate is a limit each way, in bytes a second; 0 is none.
type Rate struct{ Up, Down float64 }

// A Timetable says which rate holds when. The zero value never limits anything.
type Timetable struct {
	slots []slot // in order of the week; one for a limit that always holds
}

// A slot is a rate that holds from a minute of the week on, until the next one.
type slot struct {
	minute int // since Sunday 00:00
	rate   Rate
}

const (
	day  = 24 * 60 // minutes
	week = 7 * day
)

// Parse reads a limit or a timetable. "" is no limit.
func Parse(text string) (Timetable, error) {
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ';' || r == '\t' || r == '\n' })
	if len(words) == 1 && !strings.Contains(words[0], ",") {
		r, err := parseRate(words[0])
		return Timetable{slots: []slot{{rate: r}}}, err
	}
	var t Timetable
	for _, w := range words {
		slots, err := parseSlot(w)
		if err != nil {
			return Timetable{}, err
		}
		t.slots = append(t.slots, slots...)
	}
	slices.SortStableFunc(t.slots, func(a, b slot) int { return a.minute - b.minute })
	for i := 1; i < len(t.slots); i++ {
		if t.slots[i].minute == t.slots[i-1].minute {
			return Timetable{}, fmt.Errorf("%q has two limits for the same time", text)
		}
	}
	return t, nil
}

// parseSlot reads "Mon-08:00,512k"; without a day it holds on each of them.
func parseSlot(text string) ([]slot, error) {
	when, limit, ok := strings.Cut(text, ",")
	if !ok {
		return nil, fmt.Errorf("%q: want TIME,LIMIT such as 08:00,512k", text)
	}
	rate, err := parseRate(limit)
	if err != nil {
		return nil, err
	}
	name, clock, weekly := strings.Cut(when, "-")
	if !weekly {
		clock = when
	}
	at, err := time.Parse("15:04", clock)
	if err != nil {
		return nil, fmt.Errorf("%q: %q is no time such as 08:00", text, clock)
	}
	minute := at.Hour()*60 + at.Minute()
	if weekly {
		d, err := parseDay(name)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
		return []slot{{minute: d*day + minute, rate: rate}}, nil
	}
	slots := make([]slot, 7)
	for d := range slots {
		slots[d] = slot{minute: d*day + minute, rate: rate}
	}
	return slots, nil
}

// parseDay takes the English names, from three letters on.
func parseDay(name string) (int, error) {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if len(name) >= 3 && len(name) <= len(d.String()) && strings.EqualFold(d.String()[:len(name)], name) {
			return int(d), nil
		}
	}
	return 0, fmt.Errorf("%q is no day of the week such as Mon", name)
}

// parseRate reads "10M" or "10M:off" (up, down).
func parseRate(text string) (r Rate, err error) {
	up, down, both := strings.Cut(text, ":")
	if r.Up, err = parseBytes(up); err != nil || !both {
		r.Down = r.Up
		return r, err
	}
	r.Down, err = parseBytes(down)
	return r, err
}

// parseBytes reads a number with a unit of powers of 1024.
func parseBytes(text string) (float64, error) {
	if strings.EqualFold(text, "off") {
		return 0, nil
	}
	number, unit := text, 1024.0
	if i := strings.IndexFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '.' }); i >= 0 {
		number = text[:i]
		power, ok := map[string]int{
			"b": 0, "k": 1, "m": 2, "g": 3, "t": 4, "ki": 1, "mi": 2, "gi": 3, "ti": 4,
			"kib": 1, "mib": 2, "gib": 3, "tib": 4,
		}[strings.ToLower(text[i:])]
		if !ok {
			return 0, fmt.Errorf("%q: %q is no unit: want B, K, M, G or T", text, text[i:])
		}
		unit = math.Pow(1024, float64(power))
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsInf(n, 0) {
		return 0, fmt.Errorf("%q is no bandwidth: want such as 512k, 10M or off", text)
	}
	return n * unit, nil
}

// At is the rate that holds at a moment, in the moment's time zone, and until
// when; the zero time if it always does.
func (t Timetable) At(now time.Time) (Rate, time.Time) {
	switch len(t.slots) {
	case 0:
		return Rate{}, time.Time{}
	case 1:
		return t.slots[0].rate, time.Time{}
	}
	minute := int(now.Weekday())*day + now.Hour()*60 + now.Minute()
	i, found := slices.BinarySearchFunc(t.slots, minute, func(s slot, m int) int { return s.minute - m })
	if !found {
		i--
	}
	current := t.slots[(i+len(t.slots))%len(t.slots)]
	next := t.slots[(i+1)%len(t.slots)]
	ahead := (next.minute-minute+week-1)%week + 1
	// By the calendar, so that days of 23 and 25 hours are right too.
	return current.rate, time.Date(now.Year(), now.Month(), now.Day(), now.Hour(), now.Minute()+ahead, 0, 0, now.Location())
}
