---The methods: a file each, a row each (docs/extending.md says how to add one).
---`lu.methods.gradcam(net, x)` is `lu.gradcam(net, x)`.
return require("lunette.base.rows").folder(...)
