package deploy

import (
	"strings"

	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// plain returns a line that another program wrote as a terminal can show it
// safely, cut off after width characters.
func plain(line string, width int) string {
	line = strings.TrimRight(problem.Visible(strings.NewReplacer("\r", "", "\n", "").Replace(line)), " ")
	if runes := []rune(line); len(runes) > width {
		return string(runes[:width]) + "..."
	}
	return line
}
