# The host name by which a node asks its own nginx whether it answers. No customer can
# have a name below .invalid.
"canary.hostenv.invalid"
