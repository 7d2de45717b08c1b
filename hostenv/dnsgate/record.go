package dnsgate

import (
	"encoding/json"
	"fmt"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/canonjson"
)

// Encode returns facts as a document in canonical form.
func (f *Facts) Encode() ([]byte, error) {
	data, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("record facts: %w", err)
	}
	v, err := canonjson.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("record facts: %w", err)
	}
	return canonjson.Encode(v), nil
}

// DecodeFacts reads the document of [Facts.Encode], with the strict rules of all
// documents.
func DecodeFacts(data []byte) (*Facts, error) {
	if _, err := canonjson.Decode(data); err != nil {
		return nil, err
	}
	var f Facts
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("read facts: %w", err)
	}
	if f.FormatVersion != FormatVersion {
		return nil, fmt.Errorf("read facts: the formatVersion is %d, and this program reads %d", f.FormatVersion, FormatVersion)
	}
	for name, node := range f.Nodes {
		if node == nil {
			return nil, fmt.Errorf("read facts: nodes.%s is null", name)
		}
	}
	for name, facts := range f.Names {
		if facts == nil {
			return nil, fmt.Errorf("read facts: names.%s is null", name)
		}
	}
	return &f, nil
}
