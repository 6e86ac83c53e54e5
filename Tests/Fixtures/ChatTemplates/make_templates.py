"""Writes templates.json: templates, variables and what Jinja makes of them, in the environment of Hugging Face's
apply_chat_template: immutable sandbox, trim_blocks, lstrip_blocks, loop controls, JSON without ASCII escapes.

Needs the Python package jinja2 (3.1.6 was used).
Usage: python make_templates.py > templates.json
"""
import datetime, json, sys
import jinja2, jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)

def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

class Generation(jinja2.ext.Extension):
    tags = {"generation"}
    def parse(self, parser):
        next(parser.stream)
        return parser.parse_statements(["name:endgeneration"], drop_needle=True)

environment = ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
environment.filters["tojson"] = tojson
environment.globals["raise_exception"] = raise_exception
# A leap day, so that a wrong calendar shows.
environment.globals["strftime_now"] = lambda format: datetime.datetime(2024, 2, 29, 13, 5, 9, tzinfo=datetime.timezone.utc).strftime(format)

hello = [{"role": "user", "content": "Hello!"}]
dialogue = [
    {"role": "system", "content": "  Be brief.\n"}, {"role": "user", "content": "Wie heißt du? 🙂"},
    {"role": "assistant", "content": "Ich heiße \"Bindery\".\n\n"}, {"role": "user", "content": "</s> <|im_end|> {{ 7 * 7 }} {% if %}"},
]
wrong_order = [{"role": "assistant", "content": "I was first"}, {"role": "user", "content": "no"}]
tools = [
    {"type": "function", "function": {"name": "weather", "description": "The weather of a \"place\" <now>", "parameters": {
        "type": "object", "properties": {"place": {"type": "string", "description": "Größe & Ort"}, "days": {"type": "integer", "enum": [1, 2, 3]}},
        "required": ["place"]}}},
    {"type": "function", "function": {"name": "now", "description": None, "parameters": {"type": "object", "properties": {}}}},
]
called = dialogue[:2] + [
    {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": {"place": "Köln", "days": 2}}}]},
    {"role": "tool", "name": "weather", "content": "{\"rain\": true}"}, {"role": "tool", "name": "weather", "content": "5 °C"},
    {"role": "assistant", "content": "<think>\nrain\n</think>\n\nTake an umbrella."}, {"role": "user", "content": "Thanks"},
]
parts = [{"role": "user", "content": [{"type": "text", "text": "What is "}, {"type": "image"}, {"type": "text", "text": "this?"}]}]
conversations = {"hello": hello, "dialogue": dialogue, "wrong_order": wrong_order, "called": called, "parts": parts, "empty": []}

# Layouts in the manner of the families of chat models, each in its own way of writing Jinja.
layouts = {
    "smollm2": """{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system
You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>
' }}{% endif %}{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}""",
    "chatml": """{%- for message in messages %}
    {{- '<|im_start|>' ~ message.role ~ '\\n' }}
    {%- generation %}{{ message.content | trim }}{% endgeneration %}
    {{- '<|im_end|>\\n' -}}
{% endfor %}
{%- if add_generation_prompt -%}
    <|im_start|>assistant
{% endif %}""",
    "instruct": """{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set system = messages[0]['content'].strip() %}{% else %}{% set rest = messages %}{% set system = false %}{% endif %}
{% for message in rest %}
    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception('roles must alternate user/assistant') }}
    {% endif %}
    {% if loop.index0 == 0 and system %}{% set text = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set text = message['content'] %}{% endif %}
    {% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + text.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' ' + text.strip() + ' ' + eos_token }}{% endif %}
{% endfor %}""",
    "header": """{{- bos_token }}
{%- if tools is not none and tools is defined %}{{ 'Tools: ' ~ (tools | length) ~ '\\n' }}{% for tool in tools %}{{ tool | tojson(indent=4) ~ '\\n\\n' }}{% endfor %}{% endif %}
{%- for message in messages %}
    {%- if not (message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + (message['content'] if message['content'] is string else '[parts]') | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if message.tool_calls | length != 1 %}{{ raise_exception('one call at a time') }}{% endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- '{"name": "' + call.name + '", "parameters": ' }}
        {{- call.arguments | tojson }}{{- '}' }}
    {%- else %}
        {{- '<|tool|>' }}{% if message.content is mapping or message.content is iterable %}{{ message.content | tojson }}{% else %}{{ message.content }}{% endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""",
    "turns": """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}{%- set first_user_prefix = messages[0]['content'] + '

' -%}{%- else -%}{%- set first_user_prefix = messages[0]['content'][0]['text'] + '

' -%}{%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'assistant') -%}{%- set role = "model" -%}{%- else -%}{%- set role = message['role'] -%}{%- endif -%}
    {{ '<start_of_turn>' + role + '
' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}{{ '<start_of_image>' }}{%- elif item['type'] == 'text' -%}{{ item['text'] | trim }}{%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '<end_of_turn>
' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<start_of_turn>model
' }}{%- endif -%}""",
    "thinking": """{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1, count=0) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
    {%- set ns.count = ns.count + 1 %}
{%- endfor %}
{%- if tools %}{{- '# Tools\\n' }}{%- for tool in tools %}{{- "\\n" }}{{- tool | tojson }}{%- endfor %}{{- "\\n" }}{%- endif %}
{%- for message in messages %}
    {%- if message.content is string %}{%- set content = message.content %}{%- else %}{%- set content = '' %}{%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning = '' %}
        {%- if message.reasoning_content is string %}{%- set reasoning = message.reasoning_content %}{%- elif '</think>' in content %}
            {%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index %}
            {%- if loop.last or (not loop.last and reasoning) %}{{- '<think>\\n' + reasoning.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}{%- else %}{{- content }}{%- endif %}
        {%- else %}{{- content }}{%- endif %}
        {%- if message.tool_calls %}
            {%- for tool_call in message.tool_calls %}
                {%- if (loop.first and content) or (not loop.first) %}{{- '\\n' }}{%- endif %}
                {%- if tool_call.function %}{%- set tool_call = tool_call.function %}{%- endif %}
                {{- '<tool_call>\\n{"name": "' }}{{- tool_call.name }}{{- '", "arguments": ' }}
                {%- if tool_call.arguments is string %}{{- tool_call.arguments }}{%- else %}{{- tool_call.arguments | tojson }}{%- endif %}
                {{- '}\\n</tool_call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\\n<tool_response>\\n' }}{{- content }}{{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}{{- '<|im_end|>\\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}""",
    "macro": """{%- macro describe(parameters, depth=0) -%}
    {%- for name, spec in parameters.items() %}
        {{- '  ' * depth ~ name ~ ': ' ~ spec.type ~ (' (' ~ spec.enum | join('|') ~ ')' if spec.enum is defined else '') ~ '\\n' }}
    {%- else %}
        {{- 'nothing\\n' }}
    {%- endfor %}
{%- endmacro -%}
{% for tool in tools or [] %}
{{ tool.function.name | upper }} - {{ tool.function.description | default('no description', true) }}
{{ describe(tool.function.parameters.properties, depth=1) }}
{%- endfor %}
{%- for message in messages if message.role != 'system' %}
[{{ loop.index }}/{{ loop.length }} {{ message.role | capitalize }}{{ ',' if not loop.last }}]
{% endfor %}""",
}
cases = []

def add(template, variables=None):
    variables = variables or {}
    try:
        rendered = environment.from_string(template).render(**variables)
    except Exception as error:
        cases.append({"template": template, "variables": json.dumps(variables, ensure_ascii=False), "error": f"{type(error).__name__}: {error}"})
        return
    cases.append({"template": template, "variables": json.dumps(variables, ensure_ascii=False), "rendered": rendered})

for name, layout in layouts.items():
    for conversation in conversations.values():
        for prompt in (True, False):
            for used in (None, tools):
                variables = {"messages": conversation, "add_generation_prompt": prompt, "bos_token": "<s>", "eos_token": "</s>", "tools": used}
                if prompt and used: variables["enable_thinking"] = False
                add(layout, variables)

expressions = [
    "1 + 2 * 3", "(1 + 2) * 3", "7 // 2", "-7 // 2", "7 % 3", "-7 % 3", "7 % -3", "7 / 2", "6 / 2", "2 ** 10", "2 ** -1", "2 ** 3 ** 2", "-2 ** 2", "1.5 + 1", "1e3", "1_000", "0.1 + 0.2", "7.5 // 2", "-7.5 % 2",
    "1 == 1.0", "true == 1", "'a' == 'a'", "'a' < 'b'", "'B' < 'a'", "1 < 2 < 3", "1 < 3 < 2", "3 >= 3", "[1, 2] < [1, 3]", "[1,2] == [1,2]", "(1,2) == [1,2]", "none == false", "not true", "not not 1",
    "1 and 2", "0 and 2", "0 or 'x'", "'' or none", "1 if true else 2", "1 if false", "(1 if false) is defined", "'a' ~ 1 ~ none ~ true ~ 1.0", "'a' + 'b' ~ 'c'", "1 + 2 ~ 3", "'x' * 3", "3 * 'ab'", "[1] + [2, 'b']", "[0] * 3", "'a' 'b' \"c\"",
    "'a' in 'cat'", "'x' not in 'cat'", "2 in [1, 2]", "'k' in {'k': 1}", "'' in 'a'", "'a' in undefined_name",
    "'abc'[0]", "'abc'[-1]", "'abc'[5]", "'abc'[1:]", "'abc'[:-1]", "'abc'[::-1]", "'abcdef'[1:5:2]", "[1,2,3][::-2]", "[1,2,3][-2:]", "[1,2,3][5:]", "[1,2,3][:-9]", "[1,2,3][9]", "(1,2,3)[1:]", "'ab'[-5:1]", "[1,2,3,4][3:0:-1]", "[1,2,3,4][-9::-1]", "'ÄÖ🙂'[2]",
    "none", "true", "False", "1.0", "1e20", "1e16", "1e15", "123456789012345.0", "1e-5", "0.0001", "-0.0", "1e400", "[1, 'a', none, true, 1.5]", "('a',)", "()", "(1, 2)", "{'a': 1, 2: [3]}", "{}", "[]", "['it\\'s', \"q\\\"\", 'both\\'\"']", "['tab\\t nl\\n bs\\\\ \\x01 é 🙂 \\u200b']",
    "'\\n\\t\\\\\\'\\q'", "'\\u00e9\\x41'", "missing", "missing.x", "missing['x']", "missing()", "missing + 1", "x.y", "none.y", "none['y']", "(1).y", "'s'.missing", "'s'.missing()",
    "' a b '|trim", "'xxaxx'|trim('x')", "'aß'|upper", "'AÉ'|lower", "'hELLO wORLD'|capitalize", "'hello wor-ld (x)'|title", "'abc'|length", "[1,2]|length", "{'a':1}|count", "missing|length", "1|length", "'🙂é'|length",
    "{'a': [1, 2.5, none, true, 'é\"<>&\\n\\u0001']}|tojson", "[]|tojson", "{}|tojson(indent=2)", "{'a': [1, {'b': []}], 'c': {}}|tojson(indent=2)", "{'b': 1, 'a': 2}|tojson(sort_keys=true)", "missing|tojson", "'x'|tojson", "{1: 2, none: 3}|tojson",
    "[1,2,3]|join", "[1,'b',none]|join(', ')", "'abc'|join('-')", "[{'a':1},{'a':2}]|join('+', attribute='a')", "missing|join('x')",
    "missing|default('d')", "missing|d", "none|default('d')", "none|default('d', true)", "''|default('d', boolean=true)", "0|default(5)", "missing.x|default('d')",
    "[3,1,2]|sort", "['b','A','a']|sort", "['b','A']|sort(case_sensitive=true)", "[3,1,2]|sort(reverse=true)", "[{'n':2},{'n':1}]|sort(attribute='n')", "[1,'a']|sort", "[1,2]|first", "[1,2]|last", "[]|first", "'abc'|first", "'abc'|list", "{'a':1,'b':2}|list", "[1,2,3]|reverse|list", "'abc'|reverse",
    "[1,2,2,3]|unique|list", "['a','A','b']|unique|list", "[1,2,3]|sum", "[1,3,2]|max", "['b','a']|min", "[1,2,3,4]|select('odd')|list", "[1,2,3,4]|reject('even')|list", "[0,1,'',2]|select|list", "[{'r':'a','v':1},{'r':'b'}]|selectattr('r','equalto','a')|list", "[{'r':'a'},{'q':'b'}]|selectattr('r','defined')|list", "[{'r':'a'},{'q':'b'}]|rejectattr('r')|list",
    "[{'a':{'b':1}},{'a':{'b':2}}]|map(attribute='a.b')|list", "['a','b']|map('upper')|join", "[' a ']|map('trim')|list", "[{'a':1},{}]|map(attribute='a', default='-')|list", "{'b':1,'a':2}|dictsort", "{'b':1,'a':2}|items|list", "{'b':1}.items()|list", "{'b':1,'a':2}.keys()|list", "{'b':1,'a':2}.values()|list", "{'a':1}.get('a')", "{'a':1}.get('b')", "{'a':1}.get('b', 2)", "{'items':1}['items']", "{'a':1}.a", "{'a':1}['b'] is defined",
    "'5'|int", "'x'|int", "'x'|int(7)", "'2.9'|int", "3.9|int", "true|int", "'1.5'|float", "'x'|float", "-3|abs", "2.5|round", "3.5|round", "2.45|round(1)", "2.1|round(0,'ceil')", "2.9|round(method='floor')", "1|string + '1'", "'<a&\"\\''|escape", "'<a>'|e", "'<a>'|safe",
    "'a-b-c'|replace('-', '+')", "'aaa'|replace('a', 'b', 2)", "'abc'|replace('', '-')", "'l1\\nl2\\n\\nl4'|indent", "'l1\\nl2'|indent(2, true)", "'l1\\n\\nl2'|indent(width='> ', blank=true)", "'a\\n'|indent",
    "'  a b '.strip()", "'xxaxx'.strip('x')", "'abc'.lstrip('ab')", "'abc'.rstrip('cb')", "'\\u00a0a\\u3000'.strip()", "'abc'.startswith('ab')", "'abc'.endswith(('x','c'))", "'a b  c'.split()", "'a,b,,c'.split(',')", "'a,b,c'.split(',', 1)", "' a b c '.split(none, 1)", "'a,b,c'.rsplit(',', 1)", "'abc'.split('')", "'a\\nb\\r\\nc\\n'.splitlines()", "'abc'.upper()", "'ABC'.lower()", "'hello world'.title()", "'hELLO'.capitalize()", "'aXbX'.replace('X', '')", "'abc'.find('c')", "'abc'.find('x')", "'éa'.find('a')", "'banana'.count('an')", "','.join(['a','b'])", "'12'.isdigit()", "'1a'.isdigit()", "''.isdigit()", "'ab'.isalpha()", "' \\n'.isspace()", "'AB1'.isupper()", "'ab1'.islower()", "'abc'.removeprefix('ab')", "'abc'.removesuffix('bc')", "'abc'.removesuffix('x')", "[1,2,1].count(1)", "[1,2,1].index(2)", "[1].index(5)",
    "missing is defined", "missing is undefined", "none is none", "1 is number", "1.5 is float", "1 is integer", "true is boolean", "'a' is string", "{} is mapping", "[] is sequence", "[] is iterable", "1 is iterable", "missing is iterable", "true is true", "1 is true", "3 is odd", "4 is even", "9 is divisibleby 3", "9 is divisibleby(2)", "1 is in [1, 2]", "1 is eq 1", "1 is ne 1", "1 is lt 2", "2 is ge(2)", "'a' is equalto 'a'", "'ABC' is upper", "'abc' is lower", "1 is not none", "not 1 is none", "missing is not defined and true", "1 is none or 2", "range is callable", "1 is nothing_known", "1|nothing_known",
    "range(3)|list", "range(1, 4)|list", "range(5, 0, -2)|list", "range(0)|list", "range(1,2,0)", "dict(a=1, b='x')", "namespace(a=1).a", "namespace().x is defined", "[1,2,3]|length > 2 and 'y' or 'n'", "{'a': {'b': [10, 20]}}.a.b[1]", "'%s' % 'a'", "-'a'", "1 + 'a'", "'a' + 1", "none + 1", "[1] + 'a'", "1 < 'a'", "none < 1", "1 / 0", "1 // 0", "1 % 0", "9223372036854775807", "x if x is defined else 'no x'", "[x for x in y]", "lambda", "1 +", "(1", "[1", "{1:", "'a", "a b", "1 2", "a..b", "a[", "|trim", "f(**x)", "{{ }}", "", "not", "in", "1 is", "a if", "@", "a = 1",
    "[1, 2,]", "{'a': 1,}", "(1,)", "x|trim|upper", "'a'|upper ~ 'b'|upper", "-1|abs", "(-1)|abs", "'a' ~ 'b' in 'ab'", "1 in [1] == true", "'abc'|first|upper", "(1, 2)|first", "'a'.upper().lower()", "{'f': 'x'}.f.upper()", "[[1, 2], [3]][0][1]", "'a' if 1 else 'b' if 0 else 'c'", "'a' if 0 else 'b' if 0 else 'c'", "true and false or true", "not false and false", "1 if 2 is defined and 3 else 4", "4.0|string", "10 // 3.0", "true + true",
]
for expression in expressions:
    add("{{ " + expression + " }}", {"x": " x "})

texts = [
    "", "plain", "trailing\n", "trailing\n\n", "a\r\nb\rc", "{# comment #}x", "a{# c #}\nb", "a {#- c -#} b", "  {# c #}\nx", "{#-#}x", "{# {{ x }} #}", "{#", "{{", "{%", "{{ x", "{% if x", "}}", "%}", "{ {", "a { b } c", "{{ '}}' }}", "{{ '%}' }}", "{{ {'a': {'b': 1}} }}", "{{ {'a': {'b': 1}}}}",
    "{{ x }}\n{{ x }}", " {{ x }} ", " {{- x -}} ", "a\n  {{- x -}}  \n b", "\n\n{{- x }}", "{{ x -}}\n\n  y",
    "{% if true %}\nyes\n{% endif %}\nend", "  {% if true %}  \n  yes\n  {% endif %}  \nend", "a {% if true %} b {% endif %} c", "{% if true -%}\n  yes\n{%- endif %}", "x\n  {%- if true %}\n y\n  {%- endif %}", "{%+ if true %}\n  a\n  {%+ endif %}\nb", "{% if true +%}\n a{% endif %}", "  {%+ if true %}x{% endif %}", "a\n\t {% if true %}b{% endif %}", "{{ x }} {% if true %}b{% endif %}", "{{ x }}\n {% if true %}b{% endif %}", "{% if true %} {% if true %}x{% endif %}\n  {% endif %}\n", "{% if true -%} \n {% if true %}x{% endif %}{% endif %}",
    "{% if false %}a{% elif x %}b{% else %}c{% endif %}", "{% if false %}a{% elif false %}b{% else %}c{% endif %}", "{% if missing %}a{% endif %}b", "{% if missing.x %}a{% endif %}", "{% if 1, %}a{% endif %}",
    "{% for i in [1,2,3] %}{{ i }}{% endfor %}", "{% for i in [] %}{{ i }}{% else %}none{% endfor %}", "{% for i in missing %}{{ i }}{% else %}none{% endfor %}", "{% for i in none %}{{ i }}{% endfor %}", "{% for i in 5 %}{{ i }}{% endfor %}", "{% for c in 'añ🙂' %}[{{ c }}]{% endfor %}", "{% for k in {'a':1,'b':2} %}{{ k }}{% endfor %}", "{% for k, v in {'a':1,'b':2}.items() %}{{ k }}={{ v }};{% endfor %}", "{% for a, b in [[1,2],[3,4]] %}{{ a + b }},{% endfor %}", "{% for (a, b) in [[1,2]] %}{{ a }}{% endfor %}", "{% for a, b in [[1,2,3]] %}{{ a }}{% endfor %}", "{% for i in range(10) if i is odd %}{{ i }}:{{ loop.index }}/{{ loop.length }} {% endfor %}", "{% for i in [1,2] if i > 5 %}x{% else %}none{% endfor %}", "{% for i in 1, 2 %}{{ i }}{% endfor %}",
    "{% for i in 'abc' %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }} {% endfor %}", "{% for i in [1,2,3] %}{{ loop.cycle('a','b') }}{% endfor %}", "{% for i in [1,2,3] %}{% if loop.previtem is defined %}{{ loop.previtem }}{% endif %}{% endfor %}", "{% for i in [1,2,3,4] %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}", "{% for i in [1,2] %}{% for j in [3,4] %}{% if j == 4 %}{% break %}{% endif %}{{ i }}{{ j }} {% endfor %}{% endfor %}", "{% for i in [1,2] %}{% set outer = loop %}{% for j in [1] %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %}",
    "{% set a = 1 %}{% for i in [1,2] %}{% set a = a + i %}{{ a }}{% endfor %}{{ a }}", "{% set ns = namespace(a=1) %}{% for i in [1,2] %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}", "{% if true %}{% set a = 1 %}{% endif %}{{ a }}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a = 1, 2 %}{{ a }}", "{% set a %}text {{ x }}{% endset %}[{{ a }}]", "{% set a | upper | trim %} text {% endset %}[{{ a }}]", "{% set x.y = 1 %}", "{% set d = {} %}{% set d.a = 1 %}", "{% for i in [1] %}{{ i }}{% endfor %}{{ i }}", "{% for x in [1] %}{{ x }}{% endfor %}{{ x }}", "{% set a = [] %}{{ a.append(1) }}", "{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a }}",
    "{% macro m(a, b=2) %}{{ a }}-{{ b }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(b=5, a=4) }} {{ m() }}", "{% macro m() %}{{ x }}{% endmacro %}{{ m() }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(z=2) }}", "{% macro m(n) %}{{ n }}{% if n > 0 %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(3) }}", "{% set y = 5 %}{% macro m() %}{{ y }}{% endmacro %}{{ m() }}", "{% macro m() %}a{% endmacro %}{% set t = m() %}{{ t|upper }}", "{% macro m(a) -%}\n  [{{ a }}]\n{%- endmacro %}{{ m('q') }}",
    "{% raw %}{{ x }}{% if %}{% endraw %}", "a {%- raw -%} {{ x }} {%- endraw -%} b", "  {% raw %}\n {{ x }}\n  {% endraw %}\n", "{% generation %}a{{ x }}{% endgeneration %}", "{% endif %}", "{% if x %}", "{% for i in x %}", "{% else %}", "{% nonsense %}", "{% if %}a{% endif %}", "{% for in x %}{% endfor %}", "{% set %}", "{% set a %}", "{% break %}", "{% if x %}{% endfor %}", "{% 1 %}", "{% if x %}a{% else %}b{% else %}c{% endif %}", "{% if x %}a{% else %}b{% elif x %}c{% endif %}",
    "{{ raise_exception('no ' ~ x) }}", "{{ x.y.z }}", "{{ messages[0].content }}", "{{ 1 if x }}{{ 2 if missing }}", "{{ x\n  ~\n 'y' }}", "{{'a'}}{{\"b\"}}", "{%if x%}a{%endif%}", "{%-if x-%} a {%-endif-%} b", "é{{ 'ü' }}🙂", "{{ x }}{# a #}{{ x }}\n{# b #}\n{{ x }}", "\n  {# only #}\n  text", "a\n {%- set q = 1 -%} \n b", "{% for i in range(3) %}\n  {{ i }}\n{% endfor %}", "{% for i in range(2) -%}\n  {{ i }},\n{%- endfor %}", "line\n{% if true %}\n{% endif %}\nline", "{{ [1,\n2] }}", "{{ 'a\nb' }}", "{% set a = 'x' %}\n\n{{ a }}", "{{ x }}\n\n", "{% if true %}a{% endif %}\n\n",
]
for text in texts:
    add(text, {"x": " x "})

# What published templates do that the lists above do not: scopes of macros, named arguments, layouts, dates.
more = [
    "{% for m in [1,2] %}{% macro f() %}<{{ m }}>{% endmacro %}{{ f() }}{% endfor %}", "{% with q = 4 %}{% macro f() %}{{ q }}{% endmacro %}{{ f() }}{% endwith %}", "{% for m in [1,2] %}{% with q = m %}{% macro f(z) %}{{ m }}{{ q }}{{ z }}{% endmacro %}{{ f(3) }}{% endwith %}{% endfor %}", "{% macro f() %}{{ m is defined }}{% endmacro %}{% for m in [1] %}{{ f() }}{% endfor %}", "{% macro outer(a) %}{% macro inner(b) %}{{ a }}{{ b }}{% endmacro %}{{ inner(2) }}{% endmacro %}{{ outer(1) }}",
    "{% macro r(n) %}{{ n }}{% if n > 0 %}{{ r(n - 1) }}{% endif %}{% endmacro %}{{ r(11) }}", "{% macro r(n) %}{{ n }}{% if n > 0 %}{{ r(n - 1) }}{% endif %}{% endmacro %}{{ r(40) }}",
    "{% for a, (b, c) in [[1, [2, 3]]] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "{% for (a, b), c in [[[1, 2], 3]] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "{% set a, (b, c) = 1, (2, 3) %}{{ a }}{{ b }}{{ c }}", "{% for (a, (b, (c, d))) in [[1, [2, [3, 4]]]] %}{{ a }}{{ b }}{{ c }}{{ d }}{% endfor %}", "{% for a, (b, c) in [[1, [2, 3, 4]]] %}{{ a }}{% endfor %}",
    "{{ none | selectattr('type', 'equalto', 'x') | list | length }}", "{{ none | map(attribute='a') | list }}", "{{ none | rejectattr('a') | list }}", "{{ '' | select | list }}", "{{ 0 | map('upper') | list }}", "{{ 5 | map('abs') | list }}", "{{ none | list }}", "{{ [1, 2] | select('>', 1) | list }}", "{{ [1, 2, 3] | reject('>=', 2) | list }}", "{{ [1, 2, 3] | select('!=', 2) | list }}", "{{ [{'a': 1}, {'a': 2}] | selectattr('a', '==', 2) | list }}", "{{ [{'a': 1}, {'a': 2}] | rejectattr('a', '<', 2) | list }}", "{{ [1, 2] | select('<=', 1) | list }}", "{{ [1, 2] | select('<>', 1) | list }}",
    "{{ {'a': 1, 'b': [1, 2]} | tojson(separators=(',', ':')) }}", "{{ {'a': 1, 'b': 2} | tojson(indent=2, separators=(';', '=')) }}", "{{ 'é😀\x7f' | tojson(ensure_ascii=True) }}", "{{ 'é' | tojson(ensure_ascii=false) }}", "{{ {'a': 1} | tojson(indent='\t') }}", "{{ {'a': [1, {'b': 2}]} | tojson(indent='--') }}", "{{ {'a': 1} | tojson(indent=0) }}", "{{ {'a': 1} | tojson(indent=-1) }}", "{{ {'a': 1} | tojson(false, 1) }}", "{{ {'b': {'d': 1, 'c': 2}, 'a': 1} | tojson(sort_keys=true, indent=1) }}", "{{ 'x' | tojson(nope=1) }}",
    "{{ {'x': 1, 'y': 2} | dictsort(reverse=true) }}", "{{ {'a': 2, 'b': 1} | dictsort(by='value') }}", "{{ {'b': 2, 'A': 1, 'a': 3} | dictsort(case_sensitive=true) }}", "{{ {'b': 1} | dictsort(by='x') }}", "{{ {'a': 2, 'b': 3, 'c': 1} | dictsort(false, 'value', true) }}",
    "{{ ([{'a': 1}, {'a': 2}] | max(attribute='a')).a }}", "{{ ([{'a': 1}, {'a': 2}] | min(attribute='a')).a }}", "{{ ['a', 'B'] | min(case_sensitive=true) }}", "{{ ['a', 'A'] | unique(case_sensitive=true) | list }}", "{{ [{'a': 1, 'b': 1}, {'a': 1, 'b': 2}] | unique(attribute='a') | list }}", "{{ [{'a': 1}, {'a': 2.5}] | sum(attribute='a') }}", "{{ [1, 2] | sum(start=3) }}", "{{ ['a', 'A'] | sort(case_sensitive=true) }}", "{{ [{'a': {'b': 2}}, {'a': {'b': 1}}] | sort(attribute='a.b') }}",
    "{{ '11' | int(base=2) }}", "{{ '0x1f' | int(base=16) }} {{ '0b11' | int(base=2) }} {{ '-0x1f' | int(base=16) }} {{ '0x1f' | int }} {{ 'ff' | int(base=16) }} {{ '12' | int(base=0) }} {{ '1_000' | int }} {{ 'z' | int(7) }} {{ 'zz' | int(base=36) }}", "{{ 3.7 | int }} {{ '3.7' | int }} {{ 'a' | float(2.5) }}",
    "{{ 'abc'.startswith('b', 1) }}", "{{ 'abcabc'.startswith('c', 2, 3) }} {{ 'abc'.endswith('b', 0, 2) }} {{ 'abc'.startswith(('x', 'a')) }} {{ 'abc'.startswith('', 9) }} {{ 'abc'.count('b', 1) }} {{ 'abcb'.count('b', -1) }} {{ 'äbc'.find('c', 1) }} {{ 'abc'.rfind('c') }} {{ 'abcab'.rfind('ab', 0, 4) }} {{ 'abc'.index('b') }} {{ 'abc'.find('', 3) }} {{ 'abc'.find('', 4) }} {{ 'abc'.find('z', -2) }}", "{{ 'abc'.index('z') }}", "{{ 'abc'.rindex('c') }}", "{{ [1, 2, 1].index(1, 1) }}", "{{ 'aaa'.rsplit('aa') }} {{ 'aaaa'.split('aa', 1) }} {{ ' a b  c '.rsplit(none, 1) }} {{ ' a b c '.split(maxsplit=1) }} {{ 'a,b'.split(sep=',') }}", "{{ 'a\nb\r\nc'.splitlines(true) }} {{ 'a\nb'.splitlines(keepends=true) }}", "{{ 'a,b,c'.partition(',') }} {{ 'a,b,c'.rpartition(',') }} {{ 'abc'.partition(',') }} {{ 'abc'.rpartition(',') }}", "{{ 'abc'.center(7, '*') }}{{ 'ab'.center(5) }}|{{ 'a'.center(4) }}|{{ 'abc'.ljust(5) }}|{{ 'abc'.rjust(5) }}|{{ '5'.zfill(3) }}{{ '-5'.zfill(4) }}{{ 'ab' | center(5) }}|", "{{ 'Ab1'.swapcase() }} {{ 'aB'.casefold() }} {{ 'ab1'.isalnum() }} {{ ''.isalnum() }}", "{{ 'a'.join([1, 2]) }}", "{{ 'a'.join(['x', 'y', 'z']) }}", "{{ 'abc'.startswith(1) }}", "{{ 'a'.replace(1, 2) }}", "{{ 'a1' | replace(1, 2) }}",
    "{{ ['a'] | join(foo=1) }}", "{{ 'a' | upper(1) }}", "{{ [1] | first(1) }}", "{{ 'x' | default('y', true, 3) }}", "{{ 'a' | trim(x=1) }}", "{{ 'a' | trim(chars='a') }}|{{ 'abc' | indent(width=2, first=true) }}", "{{ 'a'.strip('a', 'b') }}", "{{ {'a': 1}.get('a', 1, 2) }}", "{{ 1 is odd(3) }}", "{{ 1 is eq }}", "{{ range(1, 2, 3, 4) }}", "{{ 'abc' | replace('a') }}", "{{ [1, 2] | join(d='-') }}", "{{ 'a' | string(1) }}", "{{ raise_exception() }}",
    "{{ '<{}>'.format('x') }}", "{{ '{0} {1} {0} {a} {{}} {b[k]} {c.d}'.format(1, 'x', a=2, b={'k': 3}, c={'d': 4}) }}", "{{ '{:>5}|{:<5}|{:^5}|{:05d}|{:.2f}|{:,}|{!r}|{:*^7}|{:+d}'.format('a', 'b', 'c', 42, 3.14159, 1234567, 'q', 'm', 5) }}", "{{ '{} {}'.format(1) }}", "{{ '{'.format(1) }}", "{{ '{:d}'.format('a') }}", "{{ '{:x} {:.0f} {:.3f} {:8.2f}|{:.1f}'.format(255, 2.5, 1e10, -3.14159, 0.25) }}", "{{ '{:.2f}'.format(1) }} {{ '{:.20f}'.format(0.1) }} {{ '{:.1f}'.format(1e22) }}",
    "{{ '%5.2f|%-5s|%05d|%x|%r|%%|%s' % (3.14159, 'ab', 42, 255, 'q', [1]) }}", "{{ '%(a)s-%(b)d' % {'a': 1, 'b': 2} }}", "{{ '%s' % [1, 2] }}", "{{ '%d' % 3.7 }}", "{{ '%s %s' % 'a' }}", "{{ 'x' % 'a' }}", "{{ '%s-%d' | format('a', 3) }}", "{{ '%.3s|%5s|%+d' % ('abcdef', 'é', 4) }}", "{{ '%d' % 'a' }}", "{{ '100%' % () }}",
    "{{ [1, 2, 3, 4, 5] | batch(2) | list }} {{ [1, 2, 3] | batch(2, 0) | list }} {{ [1, 2, 3, 4, 5] | slice(3) | list }} {{ [1, 2, 3, 4] | slice(3, 'x') | list }}", "{{ 'a b, c_d 1' | wordcount }}", "{{ 'hello world' | truncate(8) }}|{{ 'helloworldfoobar' | truncate(8) }}|{{ 'hello world foo' | truncate(9, true) }}|{{ 'hello world foo' | truncate(9, true, '', 0) }}", "{{ {'a': 1} | attr('a') }}", "{{ 'a' is filter }} {{ 'upper' is filter }} {{ 'odd' is test }} {{ 3 is sameas 3.0 }} {{ true is sameas true }}", "{{ 6 is divisibleby(-1) }}", "{{ 9007199254740993 == 9007199254740992.0 }} {{ [1, 1.0, true] | unique | list }}",
    "{%- set today = strftime_now('%Y-%m-%d') %}{{ today }}", "{{ strftime_now('%d %B %Y, %A %a %b %j %H:%M:%S %I %p %y %m %e %F %T %D %R %u %w %V %G %U %W %C %h %n%t%% %-d') }}", "{{ strftime_now() }}", "{{ strftime_now('%d') | int + 1 }}", "{{ 'x' ~ strftime_now('') }}", "{{ strftime_now is defined }} {{ strftime_now is callable }}",
]
for template in more:
    add(template, {"x": " x "})
json.dump(cases, sys.stdout, ensure_ascii=True, separators=(",", ":"))
