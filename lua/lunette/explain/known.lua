---The methods by name, for the files of this folder, which may not load the folder
---methods/ above them: `lunette.methods` fills this in when it is loaded.
---@type { methods: table<string, lunette.Method> }
return { methods = {} }
