// Package verify finds out over HTTP whether environments work, with the checks of
// their deploymentVerification in the plan. It implements [deploy.Verifier].
//
// The checks are written in terms of curl (their type is httpHostHeaderCurl):
// standard output is the body of a response, standard error is curl's message about
// a request that fails, and the exit status is not zero if the response is not
// complete. [checks.Constraints] has the meaning of each of these here, and
// docs/deploy-verification.md explains them to authors of checks.
//
// A request goes only to the node of the environment: the connection is to
// <node>.<hostenvHostname>, even if DNS has other addresses for the virtual host.
// It never uses a proxy, and does not follow a redirect that leaves the
// environment. So a customer's check cannot make the machine that deploys connect
// to a third machine.
package verify
