---`lunette explain` of many pictures: one at a time, so that the memory is that of one,
---each with a canvas of its own.
local core = require "lunette.core"
local draw = require "lunette.commands.explain.draw"
local files = require "lunette.base.files"
local output_name = require "lunette.commands.output_name"
local text = require "lunette.base.text"

local M = {}


---The classes of the pictures, where as many were given as there are pictures.
local function classes_for(o, count)
  local list = {}
  for word in (o.class or ""):gmatch "[^,]+" do list[#list + 1] = word end
  return count > 1 and #list == count and list or nil
end


---The exit code of what net:images says of a picture; 74 of a canvas.
local NO_INPUT, CANNOT_WRITE = 66, 74


---@class lunette.ExplainJob
---@field net lunette.Net
---@field o table                          the command's options
---@field report lunette.ExplainReport
---@field explain fun(run: lunette.Run, class?: string): lunette.Tensor
---@field chosen? string                  the network, where one was named
---@field load fun(list: any[]): lunette.Tensor?, string?


---Explains one picture and writes what is wanted of it.
---@return table? story, string? message, integer? code
local function explain(job, path, out, class)
  local images, message = job.load { path }
  if not images then return nil, message, NO_INPUT end
  local run <close> = job.net:run(images)
  local map = job.explain(run, class)
  local saved, written
  job.report:top(run, job.o.head)
  local checks = job.report:check(job.o, run, map)
  saved, message, written = draw.canvas(job.o, run, map, checks):save(out, job.o.beside)
  if not saved then return nil, message, CANNOT_WRITE end
  job.report:wrote(run, map, out, written)
  map:release()
  return map.story
end


---@param job lunette.ExplainJob
---@param done integer
---@param begun number
---@param story table?
local function finish(job, done, begun, story)
  local o, report = job.o, job.report
  if story then report:headline(o, job.net, story) end
  report:say(("%s explained, %d could not be, in %.1f s"):format(
    text.count(done, "picture"), #report.bad, core.clock() - begun))
  local ok, message = true, nil
  if o.keep_going then ok, message = report:write_errors(o.out) end
  if not ok then
    text.complain(message)
    return CANNOT_WRITE
  end
  return #report.bad > 0 and 3 or 0
end


---@param job lunette.ExplainJob
---@param inputs lunette.Input[]
---@return integer code   0; 3 where --keep-going left pictures out; 66, 74
function M.run(job, inputs)
  local o, begun, done, last = job.o, core.clock(), 0, nil
  local names, taken = output_name.each(inputs, o, job.chosen)
  if not names then return job.fail(64, taken) end
  local ok, message = files.mkdir(o.out)
  if not ok then return job.fail(CANNOT_WRITE, message) end
  local classes = classes_for(o, #inputs)
  for i, input in ipairs(inputs) do
    local story, why, code = job.report:collecting(input.path, explain, job, input.path,
      names[i], classes and classes[i])
    if story then
      done, last = done + 1, story
    elseif code == CANNOT_WRITE or not o.keep_going then
      return job.fail(code, why)
    else
      job.report:failed(input.path, why)
    end
    collectgarbage() -- else pictures' garbage waits for the soft limit: 100 MB more
  end
  return finish(job, done, begun, last)
end

return M
