---How many passes there were since the program began, a picture each: whole forward
---passes, those of what follows a layer, and gradients (one a picture and score).
---`explain/cost.lua` reads them before and after a call.
return { forwards = 0, partial = 0, backwards = 0 }
