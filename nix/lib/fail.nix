# fail: ends the evaluation with an error and its fix.
#
#   subject  what the problem is with: "project acme__site", "provider", "flake.lock"
#   problem  what is wrong, with the value
#   hint     what to write or to run
#
# hostenv/nix reads the text: "<subject>: <problem>", then a line "hint: <hint>".
{ subject, problem, hint }:
throw "${subject}: ${problem}\nhint: ${hint}"
