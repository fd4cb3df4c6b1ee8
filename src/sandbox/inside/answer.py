# Runs an answer and calls its functions as it is told. What the answer does to this process harms itself alone: the
# tests and the verdict are in another.
def attempt(work):
    try:
        return work()
    except BaseException as error:
        return {"error": type(error).__name__, "text": str(error)[:1000]}


def load():
    exec(compile(order["source"], "answer.py", "exec"), scope)
    return {"value": None, "arguments": []}


def call():
    request = json.loads(line)
    arguments, named = unpack(request["arguments"]), unpack(request["named"])
    name = request["call"]
    if name not in scope:
        raise NameError(f"the answer defines no {name}")
    value = pack(scope[name](*arguments, **named))
    return {"value": value, "arguments": [pack(argument) for argument in arguments]}


confine(order["limits"])
tell({"confined": True})
scope = {"__name__": "answer"}
tell(attempt(load))
for line in orders:
    tell(attempt(call))
