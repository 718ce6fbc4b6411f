---@meta _
---Files, other programs, JSON.

---@class lunette.core
local core = {}

---A safetensors file, mapped into memory.
---@class lunette.Weights
local Weights = {}

---Opens a safetensors file.
---@param path string
---@return lunette.Weights? weights, string? message
function core.weights(path) end

---Its tensors in file order.
---@return { name: string, dtype: string, shape: integer[] }[]
function Weights:list() end

---@param i integer   place in the list, from 1
---@return lunette.Tensor? t, string? message
function Weights:tensor(i) end

---@return table<string, string>   the file's metadata
function Weights:meta() end

---Whether the file is still what it was when it was opened.
---@return true? unchanged, string? message   it was cut or overwritten
function Weights:unchanged() end

---Unmaps the file.
function Weights:release() end

---Writes a safetensors file.
---@param path string
---@param tensors table[]      {{name, tensor}, ...}
---@param dtype "f32"|"f16"
---@param meta? table<string, string>
---@return boolean? ok, string? message
function core.write_weights(path, tensors, dtype, meta) end

---Writes a set of files: all of them whole, or none. Old files stay until then, links
---are followed, what is no regular file (/dev/null, a FIFO) is written to as it is.
---@param list { [1]: string, [2]: string|any[] }[]   path and bytes of each: a text, or
---  a list of texts, tensors (their float32), { half = tensor } (float16) and open files,
---  each from its beginning on
---@return true? ok, string? message
function core.write_files(list) end

---A file without a name, to be written and read again; nothing of it is left behind.
---@param folder string   on whose disk it lies
---@return file*? f, string? message
function core.spool(folder) end

---SHA-256 of some bytes.
---@param bytes string
---@return string   64 hexadecimal digits
function core.sha256(bytes) end

---Bytes as text (RFC 4648).
---@param bytes string
---@return string
function core.base64(bytes) end

---Whether all that was printed has arrived.
---@return true? ok, string? message
function core.flush_output() end

---Standard files that are closed become /dev/null, so that no other file gets their
---numbers; what is written there fails.
function core.standard_files() end

---@class lunette.Process
local Process = {}

---Starts another program, without a shell; the path is taken as it is.
---@param path string
---@param arguments string[]
---@param input? string        what it reads on its stdin
---@return lunette.Process? process, string? message
function core.spawn(path, arguments, input) end

---Reads what it says to the end and waits for it.
---@return string said
---@return integer code   exit code; 128 + the signal that ended it
function Process:finish() end

---JSON by jansson; use lunette.base.json, which walks tables.
core.json = {}

---JSON text of one scalar; floats with the fewest digits that give the same bits.
---@param value number|string|boolean
---@return string? text, string? message   nil for NaN, infinities and what is no UTF-8
function core.json.scalar(value) end

---Reads JSON text: at most 4 MiB, 100 levels deep, no key twice.
---@param text string
---@param arrays? table   metatable for arrays
---@return any value, string? message   null is a light userdata
function core.json.decode(text, arrays) end
