// Package chart draws values of several series for the same categories as SVG,
// as bars side by side or as lines.
package chart

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/template"
)

// A Chart shows values of several series for the same categories: as bars side
// by side, or as a line for each series.
type Chart struct {
	Title, Subtitle string
	Unit            string   // of values, such as "MiB/s"
	Axis            string   // what the categories are, such as "connections"
	Categories      []string // from left to right, at equal distances
	Series          []Series
	Bars            bool
}

// A Series has a value for each category; NaN: none.
type Series struct {
	Name   string
	Values []float64
}

// colours can be told apart also without seeing colours well.
var colours = []string{"#186faf", "#d9822b", "#5c7080", "#29a634", "#8f398f"}

// Sizes in pixels.
const (
	width, height = 760, 300
	left, right   = 56, 84
	top, bottom   = 54, 40
	keyHeight     = 20 // of a line of the key
)

type tick struct {
	At   float64
	Text string
}

// WriteTo draws the chart.
func (c *Chart) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	if err := page.Execute(&b, c.layout()); err != nil {
		return 0, err
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

// A drawing is a chart in pixels.
type drawing struct {
	*Chart
	Width, Height     int
	Left, Right, Base int
	TopOfPlane, Key   int
	XTicks, YTicks    []tick
	Shapes            []shape
}

// A shape is what a series looks like: bars with their values, or a line with dots.
type shape struct {
	Name, Colour string
	KeyX         int
	Line         string
	Marks        []mark
}

type mark struct {
	X, Y, Wide, High float64
	Text             string
}

func (c *Chart) layout() drawing {
	most := 0.0
	for _, s := range c.Series {
		for _, v := range s.Values {
			if v > most { // not for NaN
				most = v
			}
		}
	}
	if most == 0 {
		most = 1
	}
	step := roundStep(most / 4)
	ceiling := step * math.Ceil(most*1.05/step)
	base := height - bottom
	y := func(v float64) float64 { return round(float64(base) - float64(base-top)*v/ceiling) }
	wide := float64(width-left-right) / float64(max(1, len(c.Categories)))
	middle := func(i int) float64 { return round(left + wide*(float64(i)+0.5)) }
	d := drawing{
		Chart: c, Width: width, Height: height + 2*keyHeight, Left: left, Right: width - right, Base: base,
		TopOfPlane: top, Key: height + keyHeight,
	}
	for i, text := range c.Categories {
		d.XTicks = append(d.XTicks, tick{middle(i), text})
	}
	for v := 0.0; v <= ceiling+step/1000; v += step {
		d.YTicks = append(d.YTicks, tick{y(v), short(v)})
	}
	keyX := left
	for n, s := range c.Series {
		sh := shape{Name: s.Name, Colour: colours[n%len(colours)], KeyX: keyX}
		keyX += 30 + 7*len(s.Name)
		var points []string
		bar := wide * 0.8 / float64(len(c.Series))
		for i, v := range s.Values {
			if math.IsNaN(v) {
				continue
			}
			m := mark{X: middle(i), Y: y(v), Text: short(v)}
			if c.Bars {
				m.X = round(middle(i) - wide*0.4 + bar*float64(n))
				m.Wide, m.High = round(bar*0.9), round(float64(base)-y(v))
			}
			points = append(points, fmt.Sprintf("%g,%g", m.X, m.Y))
			sh.Marks = append(sh.Marks, m)
		}
		if !c.Bars {
			sh.Line = strings.Join(points, " ")
		}
		d.Shapes = append(d.Shapes, sh)
	}
	return d
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

// short is a number with at most three digits that matter.
func short(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%g", round(v))
	default:
		return fmt.Sprintf("%g", math.Round(v*100)/100)
	}
}

var page = template.Must(template.New("chart").Parse(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {{.Width}} {{.Height}}" font-family="system-ui, sans-serif" font-size="11">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="{{.Left}}" y="20" font-size="15" font-weight="600" fill="#1f2933">{{html .Title}}</text>
<text x="{{.Left}}" y="37" fill="#52606d">{{html .Subtitle}}</text>
{{range .YTicks}}<line x1="{{$.Left}}" x2="{{$.Right}}" y1="{{.At}}" y2="{{.At}}" stroke="#e4e7eb"/><text x="{{$.Left}}" dx="-6" y="{{.At}}" dy="4" text-anchor="end" fill="#52606d">{{.Text}}</text>
{{end}}{{range .XTicks}}<text x="{{.At}}" y="{{$.Base}}" dy="16" text-anchor="middle" fill="#52606d">{{html .Text}}</text>
{{end}}<text x="{{.Right}}" y="{{.TopOfPlane}}" dy="-6" text-anchor="end" fill="#52606d">{{html .Unit}}</text>
<text x="{{.Right}}" y="{{.Base}}" dy="32" text-anchor="end" fill="#52606d">{{html .Axis}}</text>
{{range .Shapes}}{{$c := .Colour}}{{if .Line}}<polyline points="{{.Line}}" fill="none" stroke="{{$c}}" stroke-width="1.8" stroke-linejoin="round"/>
{{end}}{{range .Marks}}{{if .Wide}}<rect x="{{.X}}" y="{{.Y}}" width="{{.Wide}}" height="{{.High}}" fill="{{$c}}"/>{{else}}<circle cx="{{.X}}" cy="{{.Y}}" r="3" fill="{{$c}}"/>{{end}}<text x="{{.X}}" y="{{.Y}}" dy="-5" fill="{{$c}}">{{.Text}}</text>
{{end}}<rect x="{{.KeyX}}" y="{{$.Key}}" width="12" height="12" fill="{{$c}}"/><text x="{{.KeyX}}" dx="17" y="{{$.Key}}" dy="10" fill="#1f2933">{{html .Name}}</text>
{{end}}</svg>
`))
