---What checks say and what a story calls its facts, in Russian. A sentence of a check
---is a format with values in it: each has its words here, the values stay as they are.
local M = {}

-- { English, Russian }: * is a value, # a number, of which the k-th is %k in Russian;
-- a line's end is a space
local sentences = {
  { [[The score * is no class of the network's first output, so that no other can be
      asked.]],
    [[Оценка %1 — не класс первого выхода сети, поэтому о другом спросить нельзя.]] },
  { [[There is no other class to ask.]],
    [[Другого класса, о котором можно спросить, нет.]] },
  { [[The network has one output, and the other class is this one turned round: asking
      for it tells nothing.]],
    [[У сети один выход, и другой класс — тот же наоборот: спрашивать о нём
      бесполезно.]] },
  { [[Asked for another class it gives another map (similarity *; to itself under faint
      noise *).]],
    [[Для другого класса карта другая (сходство %1; с самой собой при слабом шуме
      %2).]] },
  { [[Asked for another class it changes little (similarity *; to itself under faint
      noise *).]],
    [[Для другого класса карта меняется мало (сходство %1; с самой собой при слабом шуме
      %2).]] },
  { [[Asked for another class this map hardly changes (similarity *; to itself under
      faint noise *): it shows what is in the picture, not why *.]],
    [[Для другого класса карта почти не меняется (сходство %1; с самой собой при слабом
      шуме %2): она показывает, что есть на изображении, а не почему %3.]] },
  { [[The network has no weights to draw anew.]],
    [[У сети нет весов, которые можно заменить случайными.]] },
  { [[Does not depend on what the upper layers learned (similarity * with their weights
      redrawn; under faint noise *).]],
    [[Не зависит от того, чему научились верхние слои (сходство %1 со случайными весами;
      при слабом шуме %2).]] },
  { [[Depends on what the upper layers learned (similarity * with their weights redrawn;
      under faint noise *).]],
    [[Зависит от того, чему научились верхние слои (сходство %1 со случайными весами;
      при слабом шуме %2).]] },
  { [[Shaky: under faint noise * % of its brightest tenth moves (similarity *).]],
    [[Неустойчива: при слабом шуме смещается %1 %% самой яркой десятой части (сходство
      %2).]] },
  { [[Steady under faint noise (*).]],
    [[Устойчива при слабом шуме (%1).]] },
  { [[Does not add up to the score's difference from the baseline: * % off.]],
    [[Сумма карты не равна разности оценок с опорным изображением: расхождение
      %1 %%.]] },
  { [[Adds up to the score's difference from the baseline, but for * %.]],
    [[Сумма карты равна разности оценок с опорным изображением, расхождение %1 %%.]] },
  { [[* % of the map spoke against the class and was cut off (raw = true shows it).]],
    [[%1 %% карты говорило против класса и отброшено (raw = true это показывает).]] },
  { [[The network says * (# %); this map explains *.]],
    [[Сеть отвечает «%1» (%2 %%); эта карта объясняет «%3».]] },
  { [[The network says *; this map explains *.]],
    [[Сеть отвечает «%1»; эта карта объясняет «%2».]] },
  { [[Nothing here speaks for *: the map is the same everywhere.]],
    [[Здесь ничто не говорит за «%1»: карта всюду одинакова.]] },
  { [[Whether its pixels matter cannot be asked: the score is no class of the network's
      first output.]],
    [[Важны ли её точки, узнать нельзя: оценка — не класс первого выхода сети.]] },
  { [[Whether its pixels matter cannot be asked: the picture says no more for * than its
      mean colour does.]],
    [[Важны ли её точки, узнать нельзя: изображение говорит за «%1» не больше, чем его
      средний цвет.]] },
}

-- what is said of pixels, and the numbers of it
local pixels = {
  { "Its pixels matter no more than others", "Её точки важны не больше других" },
  { "Its pixels matter, no more than the picture's edges do",
    "Её точки важны, но не больше контуров изображения" },
  { "Its pixels matter, not surely", "Её точки важны, но это не наверняка" },
  { "Its pixels matter", "Её точки важны" },
}

local falls = {
  [[: without its brightest half the class's lead falls * %s than without the same shape
    elsewhere [*, *], * %s than without edges (1: its lead over an empty picture; *
    place*).]],
  [[: без самой яркой половины отрыв класса падает на %%1 %s, чем без такой же области в
    другом месте [%%2, %%3], и на %%4 %s, чем без контуров (1: отрыв от пустого
    изображения; мест: %%5).]] }
local ways = { { "further", "больше" }, { "less", "меньше" } }
for _, p in ipairs(pixels) do
  for _, moved in ipairs(ways) do
    for _, edges in ipairs(ways) do
      sentences[#sentences + 1] = { p[1] .. falls[1]:format(moved[1], edges[1]),
                                    p[2] .. falls[2]:format(moved[2], edges[2]) }
    end
  end
end

for _, s in ipairs(sentences) do
  local text = s[1]:gsub("%s+", " ")
  s.pattern = "^" .. text:gsub("[%^%$%(%)%%%.%[%]%+%-%?]", "%%%0")
    :gsub("%*", "(.-)"):gsub("#", "([%%d.]+)") .. "$"
  s.russian = s[2]:gsub("%s+", " ")
end

---Names of checks, and of what stories tell, for the page's own code.
M.words = {
  class = "класс", weights = "веса", pixels = "точки", steady = "устойчивость",
  sum = "сумма", prediction = "ответ сети", map = "карта",
  baseline = "опорное изображение", class_names = "названия классов",
  classes = "классы", commit = "версия кода", composite = "набор правил",
  count = "число масок", delta = "расхождение суммы", dialect = "чьи числа",
  draws = "что рисуется", expand = "растянута до изображения", filter = "фильтр",
  fit = "подгонка размера", images = "изображения", isa = "команды процессора",
  layer = "слой", method = "метод", model = "сеть", modifiers = "правила",
  changed_nodes = "изменено узлов", multiply = "умножено на вход",
  negative_share = "доля против класса", noise = "шум", normalize = "нормировка",
  output = "выход", raw = "без обработки", raw_max = "максимум до обработки",
  raw_min = "минимум до обработки", relevance_kept = "сохранено релевантности",
  relevance_lost_at = "где потеряно больше всего", rule = "правило",
  samples = "повторений", score = "оценка", seed = "начало случайных чисел",
  side = "размер", steps = "шагов", version = "версия",
  weights_sha256 = "SHA-256 весов", oriented = "повёрнуто по EXIF", top = "мест",
}


---A check's sentence in Russian; one that is not known stays as it is.
---@param text string
---@return string
function M.sentence(text)
  for _, s in ipairs(sentences) do
    local found, count = text:gsub(s.pattern, s.russian)
    if count > 0 then return found end
  end
  return text
end


return M
