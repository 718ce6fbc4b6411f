---The methods: a file each, a row each (docs/extending.md says how to add one).
---`lu.methods.gradcam(net, x)` is `lu.gradcam(net, x)`.
local known = require "lunette.explain.known"

known.methods = require("lunette.base.rows").folder(...)

return known.methods
