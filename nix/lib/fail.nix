# fail: ends the evaluation with what is wrong and how to fix it.
#
#   subject  what is at fault: "project acme__site", "provider", "flake.lock"
#   problem  what is wrong, with what was found
#   hint     what to write or to run
#
# The Go side and a person both read the text, so its shape is one for all:
# "<subject>: <problem>", then a line "hint: <hint>".
{ subject, problem, hint }:
throw "${subject}: ${problem}\nhint: ${hint}"
