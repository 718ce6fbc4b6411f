---What pages say, in English and Russian. Names of methods, layers and classes stay as
---they are.
local text = require "lunette.base.text"
local told = require "lunette.report.told"

local M = {}

local russian = {
  ["channel %d"] = "канал %d",
  ["mean %s, greatest %s"] = "среднее %s, максимум %s",
  ["Most active units"] = "Самые активные нейроны",
  ["silent: %d of %d channels"] = "молчат: %d из %d каналов",
  ["least %s, greatest %s, mean %s, zeros %.1f %%"] =
    "минимум %s, максимум %s, среднее %s, нулей %.1f %%",
  ["Share of zeros"] = "Доля нулей",
  ["Share of silent channels"] = "Доля молчащих каналов",
  ["How the prediction forms"] = "Как складывается ответ",
  ["Maps of the likeliest classes"] = "Карты вероятных классов",
  ["Grad-CAM at %s"] = "Grad-CAM на слое %s",
  ["The picture as the network sees it"] = "Изображение, каким его видит сеть",
  ["Name"] = "Название", ["Layer by layer"] = "Слой за слоем",
  ["agreement"] = [[Насколько каналы слоя согласны о классе: сумма s по каналам,
    делённая на сумму |s|, где s — сумма по всем местам значения канала, умноженного на
    градиент оценки класса. 1: все каналы за класс; 0: за и против поровну; -1: все
    против.]],
  ["Explanations"] = "Объяснения",
  ["%d picture"] = "изображений: %d", ["%d map"] = "карт: %d",
  ["Could not be explained"] = "Не удалось объяснить",
  ["Filter"] = "Отбор", ["Colours"] = "Цвета",
  ["Search"] = "Поиск", ["file, class, method, layer"] = "файл, класс, метод, слой",
  ["Network"] = "Сеть", ["Method"] = "Метод", ["Class"] = "Класс",
  ["Verdict"] = "Проверка", ["all"] = "все", ["Layer"] = "Слой",
  ["Probability at least"] = "Вероятность не менее",
  ["Colour map"] = "Палитра", ["as the method draws"] = "как рисует метод",
  ["Scale"] = "Шкала", ["least to greatest"] = "от минимума до максимума",
  ["symmetric about 0"] = "симметрично около 0", ["percentile"] = "перцентиль",
  ["one scale for all maps shown"] = "одна шкала для всех показанных карт",
  ["Percentile"] = "Перцентиль",
  ["First colour at"] = "Первый цвет от", ["Last colour at"] = "Последний цвет от",
  ["% of the scale"] = "% шкалы",
  ["hide what is below the first colour"] = "скрыть значения ниже первого цвета",
  ["Picture"] = "Изображение", ["Overlay"] = "Наложение", ["Map"] = "Карта",
  ["wipe instead of fading"] = "шторка вместо смешивания",
  ["File"] = "Файл", ["Most probable classes"] = "Вероятные классы",
  ["Explained class"] = "Объясняемый класс", ["Score"] = "Оценка",
  ["Values"] = "Значения", ["Area"] = "Площадь",
  ["share of the map that is at least half of its greatest value"] =
    "доля карты, где значение не меньше половины наибольшего",
  ["Trust"] = "Доверие", ["not checked"] = "не проверено",
  ["failed"] = "не пройдено", ["doubtful"] = "сомнительно", ["passed"] = "пройдено",
  ["not judged"] = "без оценки", ["no class"] = "без класса",
  ["not drawn: print by the page's button"] =
    "не нарисовано: печатайте кнопкой страницы",
  ["Page"] = "Страница", ["of"] = "из", ["rows"] = "строк", ["Previous"] = "Назад",
  ["Next"] = "Вперёд", ["Rows a page"] = "Строк на странице",
  ["shown"] = "показано", ["Print"] = "Печать", ["Theme"] = "Тема",
  ["system"] = "системная", ["light"] = "светлая", ["dark"] = "тёмная",
  ["Keys"] = "Клавиши", ["Close"] = "Закрыть",
  ["Previous map"] = "Предыдущая карта", ["Next map"] = "Следующая карта",
  ["Side by side"] = "Рядом", ["Compare"] = "Сравнить",
  ["everything of this picture"] = "всё для этого изображения",
  ["methods"] = "методы", ["classes"] = "классы", ["layers"] = "слои",
  ["networks"] = "сети", ["Value under the pointer"] = "Значение под указателем",
  ["point at a map"] = "наведите указатель на карту",
  ["Story"] = "Как получено", ["Command"] = "Команда", ["Copy"] = "Копировать",
  ["copied"] = "скопировано",
  ["this map has no command: it was made by a script"] =
    "у этой карты нет команды: она сделана скриптом",
  ["Checks"] = "Проверки", ["Warnings"] = "Предупреждения",
  ["The picture cannot be shown: "] = "Изображение недоступно: ",
  ["no photograph"] = "нет фотографии",
  ["This page needs JavaScript; nothing is loaded from anywhere."] =
    "Странице нужен JavaScript; из сети ничего не загружается.",
  ["Layers"] = "Слои", ["Maps by method"] = "Карты по методам",
  ["A row for every method, layer and network"] =
    "Строка на метод, слой и сеть",
  ["What the layers put out"] = "Выходы слоёв",
  ["maps and pictures"] = "карты и изображения",
  ["sort"] = "сортировать", ["Table of maps"] = "Таблица карт",
  ["loading"] = "загрузка", ["nothing fits the filter"] = "ничего не найдено",
  ["To the top"] = "Наверх",
  ["open a map"] = "открыть карту", ["previous and next map"] =
    "предыдущая и следующая карта", ["search"] = "поиск",
  ["more picture or more map"] = "больше изображения или карты",
  ["next colour map"] = "следующая палитра", ["close"] = "закрыть",
  ["switch the theme"] = "сменить тему", ["this list"] = "этот список",
  ["previous and next page"] = "предыдущая и следующая страница",
  ["Median, quartiles and range"] = "Медиана, квартили и размах",
  ["Probability"] = "Вероятность", ["Mean"] = "Среднее", ["Zeros"] = "Нули",
  ["Greatest"] = "Максимум", ["value"] = "значение",
}

M.langs = { "en", "ru" }


---Texts that are too long to be their own key.
local english = {
  agreement = [[For every layer, how much its channels agree on a class: the sum over
    channels of s, divided by the sum of |s|, where s is the sum over places of the
    channel's value times the gradient of the class' score. 1: all channels speak for
    the class; 0: as much speaks against it; -1: all speak against it.]],
}


---A function from the English words to those of a language.
---@param lang string
---@return fun(word: string): string
function M.of(lang)
  if lang ~= "ru" then return function(word) return english[word] or word end end
  return function(word) return russian[word] or word end
end


---"1 map", "2 maps"; other languages put the number behind the word.
---@param say fun(word: string): string
---@param n integer
---@param noun string   "map" or "picture"
---@return string
function M.count(say, n, noun)
  local form = "%d " .. noun
  local own = say(form)
  return own == form and text.count(n, noun) or own:format(n)
end


---All words of a language, for the page's own code; English needs none.
---@param lang string
---@return table<string, string>
function M.all(lang)
  local list = {}
  for _, words in ipairs(lang == "ru" and { told.words, russian } or {}) do
    for key, word in pairs(words) do list[key] = word end
  end
  return list
end

return M
