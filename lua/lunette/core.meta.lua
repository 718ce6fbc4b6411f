---@meta lunette.core
---The C part of Lunette. Tensors are float32, row-major, up to 6 dimensions; images
---are (N,C,H,W). Indices and dimensions count from 1; class ids from 0.
---The other subjects are beside this file, in core/.

---@class lunette.core
local core = {}


-- making -----------------------------------------------------------------------

---A tensor from nested lists of numbers.
---Example:
---  local lu = require "lunette"
---  print(lu.tensor { { 1, 2 }, { 3, 4 } })
---@param values table
---@return lunette.Tensor
function core.tensor(values) end

---A tensor with one value everywhere.
---@param value number
---@param ... integer   shape, or one list
---@return lunette.Tensor
function core.full(value, ...) end

---A tensor of zeros.
---@param ... integer   shape, or one list
---@return lunette.Tensor
function core.zeros(...) end

---A tensor of ones.
---@param ... integer   shape, or one list
---@return lunette.Tensor
function core.ones(...) end

---from, from + step ... up to `to` included.
---@param from number
---@param to number
---@param step? number   1
---@return lunette.Tensor   (n)
function core.range(from, to, step) end

---A tensor from raw bytes.
---@param bytes string          little-endian
---@param kind "f32"|"u8"
---@param ... integer           shape
---@return lunette.Tensor
function core.from_bytes(bytes, kind, ...) end

---Random numbers from 0 to below 1. Number i is a function of seed, stream and i alone
---(SplitMix64's output function over a counter), the same on every machine.
---@param seed integer
---@param stream integer
---@param ... integer   shape
---@return lunette.Tensor
function core.uniform(seed, stream, ...) end

---Normally distributed random numbers, mean 0, deviation 1.
---@param seed integer
---@param stream integer
---@param ... integer   shape
---@return lunette.Tensor
function core.normal(seed, stream, ...) end


-- order ------------------------------------------------------------------------

---Flat index (from 1) of the first largest value, and the value.
---@param t lunette.Tensor
---@return integer index, number value
function core.argmax(t) end

---Positions (from 1) in every n values that sort them, largest first, ties in order,
---NaN last; and the sorted values; both flat.
---@param t lunette.Tensor
---@param n? integer   the whole size
---@return lunette.Tensor index, lunette.Tensor values
function core.argsort(t, n) end


-- algebra ----------------------------------------------------------------------

---Least squares in double precision (LAPACK's dgelsd): the list x for which the sum of
---(rows[r] . x - values[r])^2 is smallest; where several are, the shortest of them.
---Directions in which the rows differ by less than 1e-10 of the largest count as none.
---Errors: rows of different lengths, what is no finite number.
---@param rows number[][]   m lists of n
---@param values number[]   m
---@return number[] x       n
function core.least_squares(rows, values) end


-- the engine as a whole ----------------------------------------------------------

---Memory of the engine in bytes.
---@return { live: integer, peak: integer, cached: integer, blocks: integer, system: integer }
function core.memory() end

---Starts the peak anew.
function core.reset_peak() end

---Gives cached memory back to the system.
function core.trim() end

---Sets the soft limit above which garbage is collected.
---@param bytes? integer
---@return integer before
function core.memory_limit(bytes) end

---Sets how many bytes tensors and the pool of freed ones may take together before the
---pool gives back to the system what it would keep. Tensors may take more.
---@param bytes? integer   nil: any number
---@return integer? before
function core.memory_ceiling(bytes) end

---Sets the number of threads. Results have the same bits for any number.
---@param n? integer   1 .. 64
---@return integer before
function core.threads(n) end

---Where the C module was loaded from.
---@return string? path   absolute
function core.library() end

---For tests: the nth allocation from now on fails.
---@param nth integer      0: none
---@return integer left    how far off the one was that was asked for last: 0, it came
function core.fail_at(nth) end

---Interrupts what is being computed, or takes that back.
---@param on? boolean   true
function core.interrupt(on) end

---Makes Ctrl-C and the limit on processor time (ulimit -t) the error "interrupted";
---with "commands" only inside core.protect.
---@param on boolean|"commands"
function core.catch_signals(on) end

---Seconds since the last Ctrl-C, or since the limit on processor time was reached.
---@return number? seconds
---@return integer? signal   2, or 24 of the limit
function core.interrupted_at() end

---From now on SIGTERM, SIGUSR1, SIGXCPU and the end of `seconds` do not end the
---process: what runs inside core.protect is interrupted, all else goes on and asks
---core.stop_asked. Needs core.catch_signals.
---@param seconds? number   nil: no end
function core.catch_stop(seconds) end

---What has asked this process to stop.
---@return string?   "SIGTERM", "SIGUSR1", "SIGXCPU", or "deadline"
function core.stop_asked() end

---Runs f as one command of a session: Ctrl-C ends it, whatever it catches itself.
---@param f function
---@param ... any
---@return boolean? ok   true, results; false, message, traceback; nil, "interrupted"
function core.protect(f, ...) end

---Seconds of a clock that only goes forward.
---@return number
function core.clock() end

---A function that says whether the caller of the function that asks it stands in a
---folder of sources, and not in one file of it; pcall and the like are passed over.
---@param folder string   as debug.getinfo has sources: "@lua/lunette/"
---@param file string
---@return fun(): boolean
function core.asks_inner(folder, file) end

---Whether a file descriptor is a terminal.
---@param fd integer
---@return boolean
function core.is_tty(fd) end

---Size of a terminal in characters and, where it says so, in pixels.
---@param fd? integer   1
---@return integer? columns, integer? rows, integer? across, integer? down
function core.term_size(fd) end

---Asks the terminal something.
---@param question string
---@param last string          the character that ends its answer
---@param milliseconds integer how long to wait
---@return string? answer
function core.term_ask(question, last, milliseconds) end

---What the library of matrix products says of itself. Opens it, which takes longer
---than the rest of the program's start; else the first product does.
---@return string   "OpenBLAS 0.3.21 ..."
function core.blas() end

---Facts for bug reports.
---@return { version: string, commit: string, compiler: string, isa: string, threads: integer }
function core.build() end

return core
