---The methods by name. They stand above this folder: `lunette.methods` hands itself in.
---@type { methods: table<string, lunette.Method> }
return { methods = {} }
