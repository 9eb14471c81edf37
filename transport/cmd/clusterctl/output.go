package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
)

// show writes an answer as JSON, or as a table for people.
func (c *cli) show(document any, head string, rows func(row func(cells ...any))) error {
	if c.settings.output == "json" {
		encoder := json.NewEncoder(c.out)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(document)
	}
	var table strings.Builder
	if head != "" {
		table.WriteString(strings.ReplaceAll(head, " ", "\t") + "\n")
	}
	rows(func(cells ...any) {
		texts := make([]string, 0, len(cells))
		for _, cell := range cells {
			texts = append(texts, cmp.Or(oneLine(fmt.Sprint(cell)), "-"))
		}
		table.WriteString(strings.Join(texts, "\t") + "\n")
	})
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	if _, err := io.WriteString(w, table.String()); err != nil {
		return err
	}
	return w.Flush()
}

// oneLine makes text of a member safe for a terminal.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '�'
		}
		return r
	}, text)
}

// say writes a line for people. With -o json it writes nothing.
func (c *cli) say(text string) error {
	if c.settings.output == "json" {
		return nil
	}
	_, err := fmt.Fprintln(c.out, text)
	return err
}

// mark colours a line by how good it is, on a terminal alone.
func (c *cli) mark(good bool, text string) string {
	file, ok := c.out.(*os.File)
	if _, plain := c.env("NO_COLOR"); !ok || plain {
		return text
	}
	if info, err := file.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return text
	}
	colour := "\x1b[31m"
	if good {
		colour = "\x1b[32m"
	}
	return colour + text + "\x1b[0m"
}

func place(region, zone string) string { return strings.Trim(region+"/"+zone, "/") }
