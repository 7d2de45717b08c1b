// Package verify asks environments over HTTP whether they work, by the checks
// of their deploymentVerification in the plan. It is [deploy.Verifier].
//
// The checks were made for curl, and say so (their type is httpHostHeaderCurl):
// standard output is a response's body, standard error what curl says of a
// request that fails, and its exit status is not zero where no complete response
// came. [checks.Constraints] tells what each of these means here; docs/deploy-verification.md
// tells it to those who write checks.
//
// A check is asked at its node and nowhere else: the connection goes to
// <node>.<hostenvHostname>, whatever DNS says of the virtual host, and never by a
// proxy; a redirect that leaves the environment is not followed. So nothing that
// a customer writes into a check makes the machine that deploys talk to a third
// one.
package verify
