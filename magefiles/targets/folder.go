package targets

import "github.com/woolwichweb/hostenv-provider/hostenv/generated"

// The names of the files in the generated folder.
const stateFile, planFile = generated.StateFile, generated.PlanFile

// A folder is the generated folder of a target's run.
type folder struct {
	*generated.Folder
	writes bool // the run is to write files of the folder
}

// openFolder opens the folder that -out names.
func openFolder(out *string, writes bool) *folder {
	return &folder{generated.Open(value(out, generated.Default)), writes}
}
