package drive

import (
	"context"
	"fmt"
	"regexp"

	"github.com/woolwichweb/hostenv-provider/hostenv/generated"
	"github.com/woolwichweb/hostenv-provider/hostenv/plan"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

var isDigest = regexp.MustCompile(`^[0-9a-f]{64}$`)

// reviewed refuses a plan that is not the one with the digest. A deploy records in
// plan.json where environments are, so a second run may find the reviewed plan with
// such records: then the plan in HEAD must have the digest, and no other difference.
func (p *Plan) reviewed(ctx context.Context, folder *generated.Folder, digest string) error {
	switch own := plan.Digest(p.text); {
	case digest == "" || digest == own:
		return nil
	case !isDigest.MatchString(digest):
		return problem.New("-reviewed", fmt.Sprintf("is %q, and a digest has 64 hexadecimal digits", digest), "copy it from the first line of the review, or from `sha256sum "+problem.Word(folder.File(generated.PlanFile))+"`")
	case p.recordedOnto(ctx, folder, digest):
		return nil
	default:
		return problem.New(folder.File(generated.PlanFile), fmt.Sprintf("is not the plan that was reviewed: its digest is %s, and -reviewed is %s", own, digest),
			"check out the commit that was reviewed; or review this plan (mage plan -format=markdown -since=COMMIT), and deploy it with -reviewed="+own)
	}
}

// recordedOnto reports whether the plan is the one of HEAD, which has the digest,
// with records of deploys.
func (p *Plan) recordedOnto(ctx context.Context, folder *generated.Folder, digest string) bool {
	text, err := folder.Committed(ctx, "HEAD", generated.PlanFile)
	if err != nil || plan.Digest(text) != digest {
		return false
	}
	document, err := plan.DecodeDocument(text)
	if err != nil {
		return false
	}
	for user, e := range p.Document.Environments {
		if from := e.PreviousNode; from != "" && from != document.Environments[user].PreviousNode {
			return false
		}
	}
	return document.Digest() == p.Document.Digest()
}
