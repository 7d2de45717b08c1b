package cloudflare

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The codes of Cloudflare's errors on which the next step depends.
const (
	codeRecordAlike     = 81053 // an A, AAAA or CNAME record of the name exists
	codeCNAMEExists     = 81054
	codeRecordExists    = 81057
	codeRecordIdentical = 81058
	codeRecordGone      = 81044 // the record does not exist
	codeAuthentication  = 10000
	codeUnauthorized    = 9109
	codeInvalidHeaders  = 6003 // the header Authorization cannot be valid
)

const rightsHint = "give the token the permissions Zone:Read and DNS:Edit for the zone, or name another token with cloudflare.apiTokenSecret"

// An APIError is the failure of a call: an answer with an error, or no answer. It has
// no part of the request.
type APIError struct {
	Call   string // such as "list the records of zone 023e..."
	Status int    // 0 if there was no answer
	Errors []Message
	// Cause is the reason why there is no usable answer.
	Cause string
	// RetryAfter is the wait that Cloudflare asks for.
	RetryAfter time.Duration
}

// A Message is one of Cloudflare's errors.
type Message struct {
	Code    int64  `json:"code"`
	Message string `json:"message"`
}

func (e *APIError) Error() string {
	return "cloudflare: " + e.Call + ": " + e.Detail()
}

// Detail returns Cloudflare's errors, or the reason why there is no answer.
func (e *APIError) Detail() string {
	var parts []string
	for _, m := range e.Errors {
		parts = append(parts, fmt.Sprintf("%s (%d)", strings.TrimSuffix(m.Message, "."), m.Code))
	}
	if e.Cause != "" {
		parts = append(parts, e.Cause)
	}
	if len(parts) == 0 || e.Status >= http.StatusInternalServerError || e.Limited() {
		parts = append(parts, strings.TrimSpace(fmt.Sprintf("status %d %s", e.Status, http.StatusText(e.Status))))
	}
	if e.RetryAfter > 0 {
		parts = append(parts, fmt.Sprintf("try again after %v", e.RetryAfter))
	}
	return strings.Join(parts, ", ")
}

// Hint returns the fix.
func (e *APIError) Hint() string {
	switch {
	case e.Unauthorized():
		return rightsHint
	case e.Limited():
		return "wait; Cloudflare allows 1,200 requests of a token in 5 minutes, and counts the dashboard too"
	case e.Unknown():
		return "check https://www.cloudflarestatus.com and try again"
	}
	return ""
}

// Unauthorized reports whether the token lacks a permission.
func (e *APIError) Unauthorized() bool {
	return e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden ||
		e.has(codeAuthentication, codeUnauthorized, codeInvalidHeaders)
}

// Limited reports whether there were too many requests.
func (e *APIError) Limited() bool { return e.Status == http.StatusTooManyRequests }

// Unknown reports whether it is unknown if Cloudflare carried the request out.
func (e *APIError) Unknown() bool {
	return e.Status < http.StatusBadRequest || e.Status == http.StatusRequestTimeout || e.Status >= http.StatusInternalServerError
}

// raced reports whether the records changed after we listed them.
func (e *APIError) raced() bool {
	return e.has(codeRecordAlike, codeCNAMEExists, codeRecordExists, codeRecordIdentical, codeRecordGone) ||
		e.Status == http.StatusNotFound || e.Status == http.StatusConflict
}

func (e *APIError) has(codes ...int64) bool {
	return slices.ContainsFunc(e.Errors, func(m Message) bool { return slices.Contains(codes, m.Code) })
}
