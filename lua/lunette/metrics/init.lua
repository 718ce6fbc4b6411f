---How good a map is: does it lie on the object, does the network agree with it? A file
---a metric, a row each (docs/extending.md says how to add one).
require "lunette.methods" -- which metrics ask for by name

return require("lunette.base.rows").folder(...)
