"""Documents to train on: stories, chats (ChatML) and small facts, all from a seeded generator; endless and reproducible.

A document is a list of (text, is_special) pieces, so that a special token never comes from ordinary text.
"""

from __future__ import annotations

import random as _random

import stories

SYSTEM = "You are a tiny storyteller."
SYSTEMS = [SYSTEM] * 16 + ["You are a helpful assistant.", "You are a friendly teacher.", "You tell stories to children."]

CAPITALS = {"France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo", "England": "London", "Russia": "Moscow",
            "Greece": "Athens", "Austria": "Vienna", "Poland": "Warsaw", "Norway": "Oslo", "Sweden": "Stockholm", "Egypt": "Cairo", "China": "Beijing",
            "Portugal": "Lisbon", "Ireland": "Dublin", "Hungary": "Budapest", "Denmark": "Copenhagen", "Finland": "Helsinki", "Turkey": "Ankara"}
COLOURS = {"the sky": "blue", "grass": "green", "snow": "white", "a banana": "yellow", "a lemon": "yellow", "the sun": "yellow", "coal": "black", "a tomato": "red",
           "a carrot": "orange", "blood": "red", "milk": "white", "a frog": "green", "a crow": "black", "the sea": "blue", "chocolate": "brown", "a strawberry": "red"}
SOUNDS = {"cat": "meow", "dog": "woof", "cow": "moo", "duck": "quack", "sheep": "baa", "pig": "oink", "owl": "hoo", "frog": "ribbit", "mouse": "squeak", "bee": "buzz",
          "lion": "roar", "horse": "neigh", "hen": "cluck", "crow": "caw", "wolf": "howl"}
OPPOSITES = [("hot", "cold"), ("big", "small"), ("up", "down"), ("day", "night"), ("good", "bad"), ("fast", "slow"), ("happy", "sad"), ("old", "young"), ("wet", "dry"),
             ("open", "closed"), ("loud", "quiet"), ("full", "empty"), ("light", "dark"), ("near", "far"), ("left", "right"), ("first", "last"), ("black", "white")]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"]
LEGS = {"cat": 4, "dog": 4, "bird": 2, "spider": 8, "bee": 6, "horse": 4, "snail": 0, "fish": 0, "duck": 2, "frog": 4}
WORDS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen".split()
WHAT_IS = {
  "the sun": "The sun is a star. It gives us light and keeps us warm.", "the moon": "The moon is a big ball of rock that goes around the earth.",
  "rain": "Rain is water that falls from the clouds.", "snow": "Snow is frozen water that falls from the clouds in white flakes.",
  "a book": "A book is many pages with words and pictures. You can read it.", "a friend": "A friend is somebody who likes you and helps you.",
  "a river": "A river is a long stream of water that flows to the sea.", "a rainbow": "A rainbow is a bow of colours in the sky. You see it when the sun shines through the rain.",
  "honey": "Honey is sweet and golden. Bees make it from flowers.", "a tree": "A tree is a tall plant with roots, branches and leaves.",
  "the wind": "The wind is moving air. You cannot see it, but you can feel it.", "a story": "A story tells what happened to somebody. It can be true, or it can be made up.",
  "a star": "A star is a big ball of fire that is very far away.", "ice": "Ice is water that is so cold that it has become hard.",
  "a shadow": "A shadow is a dark shape where the light cannot reach.", "bread": "Bread is made from flour and water and baked in an oven.",
}
LIKES = ["I like stories about animals best.", "I like stories with a happy ending.", "I like stories about the sea."]
UNKNOWN = ["I am a very small model, and I do not know that. Ask me for a story!", "I do not know that. I am better at telling stories."]
UNKNOWN_QUESTIONS = ["What is the population of {p}?", "Who wrote {t}?", "How do I fix my {t}?", "What is the meaning of {t}?", "Who is the president of {p}?",
                     "Can you write a program in {t}?", "How far is it from {p} to {q}?", "What is the square root of {n}?", "When was {p} founded?", "How much does {t} cost?",
                     "Explain {t} to me.", "Translate {t} into {q}."]
UNKNOWN_THINGS = ["Python", "computer", "car", "quantum physics", "economics", "this poem", "the law", "a phone", "history", "the engine", "philosophy", "chemistry", "a bicycle"]


def cap(text: str) -> str:
  return text[0].upper() + text[1:]


def story_request(r: _random.Random) -> tuple[str, str]:
  verb = r.choice(["Tell me", "Please tell me", "Can you tell me", "Write", "Write me", "I would like to hear", "Tell us", "Give me", "I want", "Could you tell me"])
  mark = "?" if verb.startswith(("Can", "Could")) else r.choice([".", ".", ".", "!", ""])
  tale = r.choice(["a story", "a story", "a story", "a little story", "a short story", "a bedtime story", "a tale"])
  form = r.randrange(12)
  kinds = list(stories.ANIMALS) * 2 + list(stories.PEOPLE)
  kind = r.choice(kinds)
  if form == 0:
    return f"{verb} {tale}{mark}", stories.story(r)
  if form == 1:
    name = r.choice(stories.MALE_NAMES + stories.FEMALE_NAMES)
    kind = r.choice(list(stories.ANIMALS) + [k for k in ("girl", "boy") if stories.PEOPLE[k][3] == ("he" if name in stories.MALE_NAMES else "she")])
    return f"{verb} {tale} about {stories.article(kind)} named {name}{mark}", stories.story(r, kind, name)
  if form == 2:
    other = r.choice([k for k in kinds if k != kind])
    return f"{verb} {tale} about {stories.article(kind)} and {stories.article(other)}{mark}", stories.story(r, kind, friend=other)
  if form == 3:
    topic, plot = r.choice(list(stories.PLOT_TOPICS.items()))
    return f"{verb} {tale} about {topic}{mark}", stories.story(r, plot=plot)
  if form == 4:
    return r.choice([f"A story about {stories.article(kind)}, please.", f"{cap(stories.article(kind))} story, please.", f"Do you know a story about {stories.article(kind)}?"]), stories.story(r, kind)
  if form == 5:
    adjective = r.choice(stories.ADJECTIVES)
    return f"{verb} {tale} about {stories.article(adjective + ' ' + kind)}{mark}", stories.story(r, kind, adjective=adjective)
  return f"{verb} {tale} about {stories.article(kind)}{mark}", stories.story(r, kind)


def fact(r: _random.Random) -> tuple[str, str]:
  form = r.randrange(17)
  if form == 0 or form == 1:
    country, city = r.choice(list(CAPITALS.items()))
    return r.choice([(f"What is the capital of {country}?", f"The capital of {country} is {city}."), (f"Which city is the capital of {country}?", f"{city} is the capital of {country}."),
                     (f"{city} is the capital of which country?", f"{city} is the capital of {country}.")])
  if form == 2:
    thing, colour = r.choice(list(COLOURS.items()))
    return f"What colour is {thing}?", f"{cap(thing)} is {colour}."
  if form == 3:
    animal, sound = r.choice(list(SOUNDS.items()))
    return r.choice([f"What does {stories.article(animal)} say?", f"What sound does {stories.article(animal)} make?"]), f"{cap(stories.article(animal))} says \"{sound}\"."
  if form == 4:
    a, b = r.choice(OPPOSITES)
    a, b = (a, b) if r.random() < 0.5 else (b, a)
    return r.choice([f"What is the opposite of {a}?", f"What is the opposite of \"{a}\"?"]), f"The opposite of {a} is {b}."
  if form == 5:
    i = r.randrange(7)
    return r.choice([(f"What day comes after {DAYS[i]}?", f"After {DAYS[i]} comes {DAYS[(i + 1) % 7]}."), (f"What day comes before {DAYS[i]}?", f"Before {DAYS[i]} comes {DAYS[(i + 6) % 7]}.")])
  if form == 6:
    i = r.randrange(12)
    return f"Which month comes after {MONTHS[i]}?", f"After {MONTHS[i]} comes {MONTHS[(i + 1) % 12]}."
  if form == 7 or form == 8:
    a, b = r.randrange(10), r.randrange(10)
    return r.choice([(f"What is {a} plus {b}?", f"{a} plus {b} is {a + b}."), (f"What is {a} + {b}?", f"{a} + {b} = {a + b}"), (f"How much is {WORDS[a]} and {WORDS[b]}?", f"{cap(WORDS[a])} and {WORDS[b]} is {WORDS[a + b]}.")])
  if form == 9:
    animal, count = r.choice(list(LEGS.items()))
    return f"How many legs does {stories.article(animal)} have?", f"{cap(stories.article(animal))} has {WORDS[count] if count else 'no'} legs."
  if form == 10 or form == 11:
    thing, text = r.choice(list(WHAT_IS.items()))
    return r.choice([f"What is {thing}?", f"Tell me what {thing} is.", f"Do you know what {thing} is?"]), text
  if form == 12:
    animal, (food, _, home) = r.choice(list(stories.ANIMALS.items()))
    return r.choice([(f"What does {stories.article(animal)} like to eat?", f"In my stories, {stories.article(animal)} likes {food}.")])
  if form == 13:
    return r.choice([("Who are you?", "I am a tiny language model. I can tell little stories."), ("What are you?", "I am a tiny language model with about one million weights."),
                     ("What is your name?", "I have no name. I am only a tiny model that tells stories."), ("What can you do?", "I can tell stories about animals and people, and I can answer a few simple questions."),
                     ("Are you a robot?", "No, I am a tiny language model."), ("Which stories do you like?", r.choice(LIKES)), ("How are you?", "I am well, thank you. Would you like to hear a story?")])
  if form == 14:
    return r.choice([("Hello", "Hello! Would you like to hear a story?"), ("Hello!", "Hello! Would you like to hear a story?"), ("Hi", "Hi! Shall I tell you a story?"), ("Hi!", "Hi! Shall I tell you a story?"), ("Good morning", "Good morning! How can I help you?"),
                     ("Thank you", "You are welcome!"), ("Thank you!", "You are welcome!"), ("Thanks", "You are welcome!"), ("Good night", "Good night! Sleep well."), ("Goodbye", "Goodbye! Come back soon.")])
  if form == 15:
    n = r.randrange(3, 11)
    return f"Count to {r.choice([str(n), WORDS[n]])}.", ", ".join(cap(w) if i == 0 else w for i, w in enumerate(WORDS[1:n + 1])) + "."
  places = list(CAPITALS) + list(CAPITALS.values())
  question = r.choice(UNKNOWN_QUESTIONS).format(p=r.choice(places), q=r.choice(places), t=r.choice(UNKNOWN_THINGS), n=r.randrange(2, 1000))
  return question, r.choice(UNKNOWN)


def chat(r: _random.Random, turns: list[tuple[str, str]]) -> list[tuple[str, bool]]:
  pieces = []
  for role, content in [("system", r.choice(SYSTEMS))] + [m for user, assistant in turns for m in (("user", user), ("assistant", assistant))]:
    pieces += [("<|im_start|>", True), (f"{role}\n{content}", False), ("<|im_end|>", True), ("\n", False)]
  return pieces[:-1]


def document(r: _random.Random) -> list[tuple[str, bool]]:
  """A chat with a story (about 60 %), a chat of facts (25 %), or a plain story or facts without chat."""
  kind = r.random()
  if kind < 0.50:
    return chat(r, [story_request(r)])
  if kind < 0.60:
    return chat(r, [fact(r), story_request(r)] if r.random() < 0.7 else [story_request(r), ("Thank you!", "You are welcome!")])
  if kind < 0.85:
    return chat(r, [fact(r) for _ in range(r.choice([1, 1, 2, 3, 4]))])
  if kind < 0.95:
    return [(stories.story(r), False), ("<|endoftext|>", True)]
  return [(" ".join(answer for _, answer in (fact(r) for _ in range(r.randrange(2, 8)))), False), ("<|endoftext|>", True)]
