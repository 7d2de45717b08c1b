// Package fleetpage makes the page of a fleet: one HTML file that shows the nodes,
// environments and names of a provider, what needs an operator, and the last deploys.
//
// [Write] is a function of its [Facts], the time among them: the same facts are the
// same bytes. The page loads nothing, and its Content-Security-Policy allows the one
// style and the one script in it, by their hashes. Without the script it shows the
// same, without search and order.
//
// Every text of a customer, a node or a program is escaped by html/template, and shown
// as [problem.Visible] shows it. It is never part of a command, a style or a script.
package fleetpage
