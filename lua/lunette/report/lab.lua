---What the lab report says between its pictures, in English and Russian.
local M = {}

M.en = {
  title = "Attention in convolutional networks: saliency and Grad-CAM",
  install = "How this page was made", install_text = [[
Lunette needs a C compiler, Lua 5.4 and a few Debian packages; no Python, no CUDA.
`make` builds it in about a minute, `lunette models get vgg16` fetches the weights
of VGG16 (553 MB), and this page is one command:]],
  pictures = "The pictures", pictures_text = [[
Every picture is brought to the network's size, and its channels are ordered, scaled
and shifted as the network was trained. Below, what the network sees.]],
  linear = "The linear output, and the classes", linear_text = [[
The softmax at the end is left out (`linear`): its gradient mixes all classes, that
of a score before it belongs to one. The scores are those of the classes in the
table, one for each picture; beside them what the network says by itself.]],
  picture = "Picture", class = "Explained class", score = "Score",
  first = "Most probable",
  saliency = "Saliency", saliency_text = [[
The gradient of the score by the picture. Vanilla: as it is. Guided: at every relu
only what is positive goes back, where the unit was active. Rectified: positive
gradients go back everywhere, also where the unit was not active.]],
  summary = "The network", gradcam = "Grad-CAM", gradcam_text = [[
The channels of one layer, weighted by the mean of their gradients, over the
picture; with the same three rules on the way back to that layer.]],
  same = "%s: no layer between %s and the score has such a rule; maps as vanilla's.",
  flat = "%s: every map is 0: the rule drops all that comes back through this "
    .. "network; with a leak (`rectified:leak=0.1`) a little gets through.",
  rule = "Rule", method = "Method", area = "Bright area",
  area_text = [[
How much of each map is at least half of its greatest value, as a mean over the
pictures: the smaller, the more is gathered in a few places.]],
  reading = "Reading", reading_text = [[
Guided backpropagation takes the noise out of saliency: what is left follows the
outlines of the object. Rectified adds to the noise, since it lets gradients through
units that were not active. The four steps of guided backpropagation are: the
forward pass; the backward pass; at every relu the gradient is kept where it is
positive and the unit was active, and is 0 elsewhere; what arrives at the picture is
drawn.

Cleaner is not truer. Guided backpropagation hardly changes when another class is
asked for, or when the weights of the upper layers are drawn anew (Adebayo et al.
2018): it shows what the lower layers see, not why the class was chosen. Grad-CAM
answers to both; `lunette explain --trust` asks these questions of any map.]],
}

M.ru = {
  title = "Внимание в свёрточных сетях: карты значимости и Grad-CAM",
  install = "Как сделана эта страница", install_text = [[
Lunette нужны компилятор C, Lua 5.4 и несколько пакетов Debian; ни Python, ни CUDA.
`make` собирает программу примерно за минуту, `lunette models get vgg16` загружает
веса VGG16 (553 МБ), а эта страница делается одной командой:]],
  pictures = "Изображения", pictures_text = [[
Каждое изображение приводится к размеру сети; каналы упорядочены, масштабированы и
сдвинуты так же, как при обучении. Ниже — то, что видит сеть.]],
  linear = "Линейный выход и классы", linear_text = [[
Softmax в конце убран (`linear`): его градиент смешивает все классы, а градиент
оценки до него принадлежит одному. Оценки взяты для классов из таблицы, по одному на
изображение; рядом — что сеть отвечает сама.]],
  picture = "Изображение", class = "Объясняемый класс", score = "Оценка",
  first = "Наиболее вероятный",
  saliency = "Карты значимости", saliency_text = [[
Градиент оценки по изображению. Vanilla: как есть. Guided: через каждый relu назад
идёт только положительное и только там, где нейрон был активен. Rectified:
положительный градиент проходит всюду, даже через неактивные нейроны.]],
  summary = "Сеть", gradcam = "Grad-CAM", gradcam_text = [[
Каналы одного слоя, взвешенные средними их градиентов, поверх изображения; с теми же
тремя правилами обратного прохода до этого слоя.]],
  same = "%s: между %s и оценкой нет слоёв с таким правилом; карты те же, что vanilla.",
  flat = "%s: все карты нулевые: на пути назад через эту сеть правило отбрасывает всё; "
    .. "с утечкой (`rectified:leak=0.1`) немного проходит.",
  rule = "Правило", method = "Метод", area = "Яркая площадь",
  area_text = [[
Какая доля карты не меньше половины её наибольшего значения, в среднем по
изображениям: чем меньше, тем плотнее собрана карта.]],
  reading = "Выводы", reading_text = [[
Управляемое обратное распространение (guided) убирает шум из карты значимости:
остаются контуры объекта. Rectified шума добавляет, так как пропускает градиент
через неактивные нейроны. Четыре шага управляемого распространения: прямой проход;
обратный проход; на каждом relu градиент остаётся там, где он положителен и нейрон
был активен, в остальных местах становится нулём; то, что дошло до изображения,
рисуется.

Чище не значит вернее. Карта guided почти не меняется, если спросить о другом классе
или заменить веса верхних слоёв случайными (Adebayo et al. 2018): она показывает,
что видят нижние слои, а не почему выбран класс. Grad-CAM на оба вопроса отвечает;
`lunette explain --trust` задаёт их любой карте.]],
}

---The texts of a language.
---@param lang string   "en" or "ru"
---@return table<string, string>
return function(lang)
  return M[lang] or error(("lab_report: --lang is en or ru, not '%s'"):format(lang), 0)
end
