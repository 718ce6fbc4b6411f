---A script's text in pieces that are whole statements, so that what each of them prints
---can stand after it.


---Is this text a whole chunk by itself, or the beginning of one?
local function is_whole(lines, first, last)
  local chunk = table.concat(lines, "\n", first, last)
  return load(chunk, "=cell", "t") ~= nil
end


---Does a line go on with the statement before it?
local function goes_on(line)
  return line ~= nil and line:find "^%s*[:.%[%(,+*/%%^]" ~= nil
    or line ~= nil and (line:find "^%s+%S" or line:find "^%s*and%s"
      or line:find "^%s*or%s") ~= nil
end


---Pieces of a script: those of empty lines and comments join what follows.
---@param code string
---@return { first: integer, last: integer, text: string }[]
return function(code)
  local lines, cells, first = {}, {}, 1
  for line in (code:gsub("^#!", "--") .. "\n"):gmatch "(.-)\n" do
    lines[#lines + 1] = line
  end
  for last = 1, #lines do
    local blank = not lines[last]:find "%S" or lines[last]:find "^%s*%-%-"
    local ends = not blank and not goes_on(lines[last + 1]) and is_whole(lines, first,
                                                                         last)
    if ends or last == #lines then
      cells[#cells + 1] = { first = first, last = last,
        text = (table.concat(lines, "\n", first, last):gsub("%s*$", "")) }
      first = last + 1
    end
  end
  return cells
end
