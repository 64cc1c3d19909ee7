// Package plot draws a rate against time as SVG: a line, the rate that is
// permitted, and rows of ticks for what happened at single moments.
package plot

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/template"
	"time"
)

// A Figure is one picture.
type Figure struct {
	Title, Subtitle string
	Unit            string        // of rates, such as "requests/s"
	Long            time.Duration // what the time axis shows
	Bin             time.Duration // rates are averages over this
	Limit           float64       // drawn as a dashed line; 0: none
	LimitName       string
	Events          []time.Duration
	Weight          float64 // of an event, in units; 0: 1
	Rows            []Row
	RowUnit         string // of what the rows mark, such as "waits"
}

// A Row is moments that are marked below the line.
type Row struct {
	Name string
	At   []time.Duration
}

// Sizes in pixels.
const (
	width, height = 760, 300
	left, right   = 56, 84
	top, bottom   = 54, 40
	rowHeight     = 22
)

// WriteTo draws the figure.
func (f *Figure) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	if err := page.Execute(&b, f.layout()); err != nil {
		return 0, err
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

// A drawing is a figure in pixels.
type drawing struct {
	*Figure
	Width, Height     int
	Left, Right, Base int // Base is where rates are 0
	LimitY            float64
	LimitText         string
	Line              string // the points of the line
	XTicks, YTicks    []tick
	TickRows          []tickRow
	TopOfPlane        int
}

type tick struct {
	At   float64
	Text string
}

type tickRow struct {
	Name  string
	Y     int
	Ticks []float64
	Count int
}

func (f *Figure) layout() drawing {
	rates := f.rates()
	most := f.Limit
	for _, r := range rates {
		most = max(most, r)
	}
	// A burst at the start must not flatten the rest.
	if f.Limit > 0 {
		most = min(most, 2*f.Limit)
	}
	step := roundStep(most / 4)
	ceiling := step * math.Ceil(most*1.05/step)
	base := height - bottom
	x := func(t time.Duration) float64 {
		return round(left + float64(width-left-right)*t.Seconds()/f.Long.Seconds())
	}
	y := func(v float64) float64 { return round(float64(base) - float64(base-top)*min(v, ceiling)/ceiling) }
	d := drawing{
		Figure: f, Width: width, Height: height + rowHeight*len(f.Rows), Left: left, Right: width - right, Base: base,
		TopOfPlane: top,
	}
	if f.Limit > 0 {
		d.LimitY, d.LimitText = y(f.Limit), fmt.Sprintf("%s %.1f", f.LimitName, f.Limit)
	}
	var points []string
	for i, r := range rates {
		at := time.Duration(i)*f.Bin + f.Bin/2
		points = append(points, fmt.Sprintf("%g,%g", x(at), y(r)))
	}
	d.Line = strings.Join(points, " ")
	for v := 0.0; v <= ceiling+1e-9; v += step {
		d.YTicks = append(d.YTicks, tick{y(v), fmt.Sprintf("%g", round(v))})
	}
	for t := time.Duration(0); t <= f.Long; t += roundTime(f.Long / 8) {
		d.XTicks = append(d.XTicks, tick{x(t), clock(t)})
	}
	for i, r := range f.Rows {
		row := tickRow{Name: r.Name, Y: base + 34 + rowHeight*i, Count: 0}
		for _, at := range r.At {
			if at < f.Long {
				row.Ticks = append(row.Ticks, x(at))
				row.Count++
			}
		}
		row.Ticks = distinct(row.Ticks)
		d.TickRows = append(d.TickRows, row)
	}
	return d
}

// rates are the averages over the bins.
func (f *Figure) rates() []float64 {
	rates := make([]float64, f.Long/f.Bin)
	weight := f.Weight
	if weight == 0 {
		weight = 1
	}
	for _, t := range f.Events {
		if i := int(t / f.Bin); i < len(rates) {
			rates[i] += weight / f.Bin.Seconds()
		}
	}
	return rates
}

// distinct drops ticks that fall on the same pixel: thousands would draw the
// same line.
func distinct(ticks []float64) []float64 {
	var list []float64
	last := -1.0
	for _, t := range ticks {
		if t-last >= 0.8 {
			list, last = append(list, t), t
		}
	}
	return list
}

func round(v float64) float64 { return math.Round(v*10) / 10 }

// roundStep is 1, 2 or 5 times a power of ten, near v.
func roundStep(v float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if v <= m*unit {
			return m * unit
		}
	}
	return 10 * unit
}

// roundTime is a step for a time axis, at least d.
func roundTime(d time.Duration) time.Duration {
	for _, s := range []time.Duration{
		time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute,
	} {
		if d <= s {
			return s
		}
	}
	return time.Hour
}

func clock(t time.Duration) string {
	if t < time.Minute && t%time.Minute != 0 {
		return fmt.Sprintf("%ds", int(t.Seconds()))
	}
	if t%time.Minute == 0 {
		return fmt.Sprintf("%dm", int(t.Minutes()))
	}
	return fmt.Sprintf("%dm%02d", int(t.Minutes()), int(t.Seconds())%60)
}

var page = template.Must(template.New("figure").Parse(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {{.Width}} {{.Height}}" font-family="system-ui, sans-serif" font-size="11">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="{{.Left}}" y="20" font-size="15" font-weight="600" fill="#1f2933">{{.Title}}</text>
<text x="{{.Left}}" y="37" fill="#52606d">{{.Subtitle}}</text>
{{range .YTicks}}<line x1="{{$.Left}}" x2="{{$.Right}}" y1="{{.At}}" y2="{{.At}}" stroke="#e4e7eb"/><text x="{{$.Left}}" dx="-6" y="{{.At}}" dy="4" text-anchor="end" fill="#52606d">{{.Text}}</text>
{{end}}{{range .XTicks}}<text x="{{.At}}" y="{{$.Base}}" dy="16" text-anchor="middle" fill="#52606d">{{.Text}}</text>
{{end}}<text x="{{.Right}}" y="{{.TopOfPlane}}" dy="-6" text-anchor="end" fill="#52606d">{{.Unit}}</text>
{{if .LimitText}}<line x1="{{.Left}}" x2="{{.Right}}" y1="{{.LimitY}}" y2="{{.LimitY}}" stroke="#d64545" stroke-dasharray="5 4"/><text x="{{.Right}}" y="{{.LimitY}}" dx="8" dy="4" fill="#d64545">{{.LimitText}}</text>
{{end}}<polyline points="{{.Line}}" fill="none" stroke="#186faf" stroke-width="1.6" stroke-linejoin="round"/>
{{range .TickRows}}{{$y := .Y}}<text x="{{$.Left}}" y="{{$y}}" dx="-6" dy="10" text-anchor="end" fill="#52606d">{{.Name}}</text><path d="{{range .Ticks}}M{{.}} {{$y}}v12{{end}}" stroke="#d64545" fill="none"/><text x="{{$.Right}}" y="{{$y}}" dx="8" dy="10" fill="#52606d">{{.Count}} {{$.RowUnit}}</text>
{{end}}</svg>
`))
