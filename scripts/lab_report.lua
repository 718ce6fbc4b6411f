-- The lab report: saliency and Grad-CAM of four pictures, with its text, as one page.
--   lunette lab_report --lang ru --model squeezenet1_0
local lu = require "lunette"

local args = lu.cli { "lab_report.lua [image ...]", model = "vgg16", lang = "en",
  classes = "8,21,33,0", layer = "", out = "out/lab_report.html", scale = 1 }
local say = require "lunette.report.lab"(args.lang)
local net = assert(lu.load(args.model))
local images = assert(net:images(args))
local score = lu.score.categorical(args.classes)
local layer = args.layer ~= "" and args.layer or net:last_map().name
local run = net:run(images, { modifiers = { "linear" } })
local page = lu.notebook { out = args.out, title = say.title, lang = args.lang,
                           code = false }

page:heading(say.install):text(say.install_text)
page:print(args.command)
page:heading(say.pictures):text(say.pictures_text)
page:show(lu.canvas { columns = #images, titles = images.titles, scale = args.scale }
  :row("", images), table.concat(images.titles, ", "))

page:heading(say.linear):text(say.linear_text)
local rows, values, top = {}, run:values(score), run:top(1)
local asked = lu.score.resolve(score, run).classes
for i = 1, #images do
  local c, name = top[i][1], net:label(asked[i]) or asked[i]
  rows[i] = { images.names[i]:match "[^/]*$", name, ("%.3f"):format(values[i]),
              ("%s, %.1f %%"):format(c.name, 100 * (c.probability or 0)) }
end
page:table(rows, { say.picture, say.class, say.score, say.first })

local areas = {}
---Three rows of one method, and how much of each map is bright.
local function draw(method, opts, look)
  local canvas = lu.canvas { columns = #images, scale = args.scale }:row("", images)
  for _, rule in ipairs { "vanilla", "guided", "rectified" } do
    if run:changes(rule, opts.layer)[rule] == 0 then
      page:text(say.same:format(rule, opts.layer))
    else
      opts.score, opts.modifiers = score, { rule }
      local map = lu[method](run, opts)
      canvas:row(rule, map, look)
      local high = map:max { dims = { 2, 3 }, keepdims = true } * 0.5
      local flat, area = high:max():item() == 0, 100 * map:gt(high):mean():item()
      areas[#areas + 1] = { method, rule, flat and "–" or ("%.2f %%"):format(area) }
      if flat then page:text(say.flat:format(rule)) end
    end
  end
  page:show(canvas, method)
end

page:heading(say.saliency):text(say.saliency_text)
draw("saliency", {}, { normalize = "percentile" })
page:heading(say.summary):print(net:summary())
page:heading(say.gradcam):text(say.gradcam_text)
draw("gradcam", { layer = layer }, { overlay = images.pictures, colormap = "jet" })
page:heading(say.reading):text(say.area_text)
page:table(areas, { say.method, say.rule, say.area }):text(say.reading_text):close()
