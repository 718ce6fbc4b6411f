---`lunette models` lists the catalogue and what is on this machine;
---`lunette models get NAME` fetches, checks and imports one.
local argparse = require "argparse"
local catalogue = require "lunette.weights.catalogue"
local text = require "lunette.base.text"


local function parser()
  local p = argparse("lunette models",
    "List the weights that can be had, and get them. Nothing is downloaded "
    .. "without `get`.")
  p:command_target("command")
  p:require_command(false)
  p:command("list", "the catalogue (also without any command)")
  local get = p:command("get", "fetch, check and import")
  get:argument("name", "name in the catalogue")
  get:flag("--half", "store float16")
  get:flag("--quiet", "no progress bar")
  return p
end


local function size_text(n)
  return n and ("%d MB"):format((n + 5e5) // 1e6) or "?"
end


local states = { stored = "ready", cached = "in a cache" }


local function list()
  text.say(("%-21s %-8s %-7s %-11s %s"):format("NAME", "SIZE", "INPUT", "HERE", "WHAT"))
  for _, e in ipairs(catalogue.list()) do
    local state, path = catalogue.state(e)
    local input = e.preprocessing
    text.say(("%-21s %-8s %-7s %-11s %s"):format(e.id, size_text(e.size),
      type(input) == "table" and input.mode or input, states[state] or "-", e.name))
    local sum = e.sha256 and "sha256 " .. e.sha256
      or e.sha256_prefix and "sha256 " .. e.sha256_prefix .. "..." or "md5 " .. e.md5
    text.say(("  %s\n  %s\n  %s"):format(path or e.url, sum, e.licence))
  end
  text.say("\n`lunette models get NAME` fetches one; `lunette import FILE` takes a "
    .. "file that you have.")
  return 0
end


local function get(opts)
  local entry, message = catalogue.find(opts.name)
  if not entry then
    text.complain(message, "lunette models")
    return 64
  end
  local out, report = require "lunette.weights.get"(opts.name, {
    half = opts.half, progress = not opts.quiet,
    say = function(line) io.stderr:write(text.escape(line), "\n") end,
  })
  if not out then
    text.complain(report, "lunette models")
    return 74
  end
  text.say(("%s: %s"):format(report and "ready" or "already here", out))
  return 0
end


---@param args string[]
---@return integer code   0, 64 usage, 74 could not be had
return function(args)
  local ok, opts = parser():pparse(args)
  if not ok then
    text.complain(tostring(opts), "lunette models")
    return 64
  end
  if opts.command == "get" then return get(opts) end
  return list()
end
