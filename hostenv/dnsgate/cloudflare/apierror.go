package cloudflare

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Codes of Cloudflare's errors that decide what is done next.
const (
	codeRecordAlike     = 81053 // an A, AAAA or CNAME record with that host already exists
	codeCNAMEExists     = 81054
	codeRecordExists    = 81057
	codeRecordIdentical = 81058
	codeRecordGone      = 81044 // the record does not exist
	codeAuthentication  = 10000
	codeUnauthorized    = 9109
	codeInvalidHeaders  = 6003 // an Authorization that cannot be one
)

const rightsHint = "give the token the permissions Zone:Read and DNS:Edit for the zone, or name another one with cloudflare.apiTokenSecret"

// An APIError says that a call was answered by an error, or not at all. It
// holds no part of the request.
type APIError struct {
	Call   string // such as "list the records of zone 023e..."
	Status int    // 0 if there was no answer
	Errors []Message
	// Cause is what went wrong where there was no answer, or one of no use.
	Cause string
	// RetryAfter is how long Cloudflare asks to wait.
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

// Detail returns what Cloudflare said, or why there was no answer.
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
		parts = append(parts, fmt.Sprintf("ask again after %v", e.RetryAfter))
	}
	return strings.Join(parts, ", ")
}

// Hint returns what to do.
func (e *APIError) Hint() string {
	switch {
	case e.Unauthorized():
		return rightsHint
	case e.Limited():
		return "wait; a token may ask 1,200 times in 5 minutes, and the dashboard counts too"
	case e.Unknown():
		return "look at https://www.cloudflarestatus.com and try again"
	}
	return ""
}

// Unauthorized reports whether the token lacks the right.
func (e *APIError) Unauthorized() bool {
	return e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden ||
		e.has(codeAuthentication, codeUnauthorized, codeInvalidHeaders)
}

// Limited reports whether the limit of requests was exceeded.
func (e *APIError) Limited() bool { return e.Status == http.StatusTooManyRequests }

// Unknown reports whether the request may have been carried out or not.
func (e *APIError) Unknown() bool {
	return e.Status < http.StatusBadRequest || e.Status == http.StatusRequestTimeout || e.Status >= http.StatusInternalServerError
}

// raced reports whether the records changed since they were listed.
func (e *APIError) raced() bool {
	return e.has(codeRecordAlike, codeCNAMEExists, codeRecordExists, codeRecordIdentical, codeRecordGone) ||
		e.Status == http.StatusNotFound || e.Status == http.StatusConflict
}

func (e *APIError) has(codes ...int64) bool {
	return slices.ContainsFunc(e.Errors, func(m Message) bool { return slices.Contains(codes, m.Code) })
}
