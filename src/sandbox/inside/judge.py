# Runs the tests of an answer, which lives in another process: its functions stand here as calls through the channel.
import ast, builtins, collections, copy, itertools, math, re, sys, traceback


class Fault(BaseException):
    """The tests themselves are at fault; no test can catch it."""


class Died(BaseException):
    """The answer could not even be loaded; no test can catch it."""


def raised(reply):
    kind = getattr(builtins, str(reply["error"]), None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(str(reply.get("text")))
        except TypeError:
            pass
    return Exception(f"{reply['error']}: {reply.get('text')}")


def function(name):
    def call(*arguments, **named):
        try:
            request = {"call": name, "arguments": pack(arguments, True), "named": pack(named, True)}
        except TypeError as error:
            raise Fault(str(error))
        tell(request)
        reply = hear()
        if "error" in reply:
            raise raised(reply)
        for own, theirs in zip(arguments, map(unpack, reply["arguments"])):
            if type(own) is type(theirs) is list:  # what the answer did to its arguments in place
                own[:] = theirs
            elif type(own) is type(theirs) and isinstance(own, (dict, set)):
                own.clear()
                own.update(theirs)
        return unpack(reply["value"])

    return call


def load(text, name):
    try:
        tree = ast.parse(text, name)
        return tree, compile(tree, name, "exec")
    except (SyntaxError, ValueError, RecursionError) as error:
        raise Fault(f"{name}: {error}")


def judge():
    scope = {"__name__": "tests"}
    try:
        exec(load(order["context"], "context")[1], scope)
    except Exception as error:
        raise Fault(f"what stands before the tests: {type(error).__name__}: {error}")
    tree, tests = load(order["tests"], "tests")
    nodes = list(ast.walk(tree))
    names = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    called = {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    # The answer gives what nobody else does; it never stands in for a builtin or for a name of the context.
    for module in (collections, copy, itertools, math, re, sys):
        if module.__name__ not in called:
            scope.setdefault(module.__name__, module)
    for name in names - set(scope) - set(dir(builtins)):
        scope[name] = function(name)
    if order["entry_point"]:
        scope[order["entry_point"]] = function(order["entry_point"])
    reply = hear()
    if "error" in reply:
        raise Died(f"{reply['error']}: {reply.get('text')}") from raised(reply)
    exec(tests, scope)


confine(order["limits"])
tell({"confined": True})
try:
    judge()
    tell({"verdict": "passed"})
except Fault as error:
    tell({"verdict": "at_fault", "text": str(error)})
except BaseException as error:
    cause = error.__cause__ if isinstance(error, Died) else error
    tell({"verdict": "failed", "memory": isinstance(cause, MemoryError), "text": traceback.format_exc(limit=-3)[-4000:]})
