"""Small stories in plain English, made by a grammar of our own.

`story(random, subject)` returns one story as text: a plot (twelve of them) is a list of beats, each beat is said in
one of several ways, and the characters, places, foods and things are drawn from the lists below. Nothing here was
taken from another text, so the model trained on it carries nobody's licence.
"""

from __future__ import annotations

import random as _random
from dataclasses import dataclass

MALE_NAMES = "Milo Tom Ben Max Leo Sam Finn Otto Jack Hugo Oscar Felix Noah Emil Peter Paul".split()
FEMALE_NAMES = "Luna Anna Mia Lily Rosa Ella Nora Ruby Ida Clara Emma Lucy Greta Hanna Molly Tilly".split()

# kind: (food it likes, sound or manner of speaking, home)
ANIMALS = {
  "cat": ("fish", "meowed", "a warm kitchen"), "dog": ("bones", "barked", "a small farm"),
  "mouse": ("cheese", "squeaked", "a hole in the wall"), "bird": ("berries", "sang", "a nest in an old tree"),
  "rabbit": ("carrots", "whispered", "a burrow under a hill"), "fox": ("plums", "said", "a den in the forest"),
  "bear": ("honey", "growled", "a cave near the river"), "frog": ("flies", "croaked", "a quiet pond"),
  "duck": ("bread", "quacked", "a blue lake"), "horse": ("apples", "neighed", "a red barn"),
  "cow": ("fresh grass", "mooed", "a green meadow"), "pig": ("corn", "grunted", "a muddy yard"),
  "owl": ("nuts", "hooted", "a tall tower"), "squirrel": ("nuts", "said", "a hollow oak"),
  "hedgehog": ("mushrooms", "said", "a pile of leaves"), "turtle": ("lettuce", "said", "a garden by the sea"),
  "elephant": ("bananas", "said", "a wide valley"), "lion": ("cake", "roared", "a sunny hill"),
  "monkey": ("bananas", "laughed", "a tall tree"), "penguin": ("fish", "said", "an island of ice"),
  "bee": ("honey", "hummed", "a golden hive"), "whale": ("small fish", "sang", "the deep sea"),
  "goat": ("cabbage", "said", "a high mountain"), "sheep": ("clover", "said", "a grassy field"),
  "hen": ("seeds", "clucked", "a little coop"), "crow": ("cherries", "cawed", "the roof of a mill"),
  "wolf": ("soup", "howled", "a dark wood"), "snail": ("leaves", "said", "a wet garden"),
}

PEOPLE = {
  "girl": ("pancakes", "said", "a small village", "she"), "boy": ("apple pie", "said", "a small town", "he"),
  "farmer": ("potato soup", "said", "a farm by the road", "he"), "baker": ("fresh bread", "said", "a busy street", "he"),
  "king": ("cherry pie", "said", "a white castle", "he"), "queen": ("lemon cake", "said", "a castle on a hill", "she"),
  "princess": ("strawberries", "said", "a high tower", "she"), "prince": ("roast corn", "said", "a stone castle", "he"),
  "fisherman": ("fried fish", "said", "a hut by the sea", "he"), "sailor": ("oranges", "said", "an old ship", "he"),
  "knight": ("warm bread", "said", "a small fort", "he"), "teacher": ("tea and biscuits", "said", "a little school", "she"),
  "witch": ("pumpkin soup", "said", "a crooked house", "she"), "wizard": ("blueberries", "said", "a tower of books", "he"),
  "gardener": ("fresh peas", "said", "a house full of flowers", "she"), "painter": ("grapes", "said", "a sunny attic", "she"),
  "robot": ("nothing but oil", "said", "a dusty workshop", "he"), "dragon": ("hot soup", "roared", "a deep cave", "he"),
  "giant": ("big pies", "said", "a house above the clouds", "he"), "ghost": ("cold milk", "whispered", "an empty castle", "he"),
  "snowman": ("ice cream", "said", "a white field", "he"), "pirate": ("coconuts", "shouted", "a ship with black sails", "he"),
}

ON = {"a high mountain", "the roof of a mill", "an island of ice", "a sunny hill", "a small farm", "a farm by the road", "a busy street",
      "an old ship", "a ship with black sails"}

ADJECTIVES = "little young brave shy clever curious kind lazy gentle cheerful small quiet proud hungry old".split()
PLACES = ["forest", "garden", "village", "market", "river", "hill", "meadow", "lake", "beach", "old mill", "bridge", "field"]
THINGS = ["red ball", "silver key", "blue hat", "golden ring", "wooden flute", "green scarf", "small drum", "white shell",
          "yellow kite", "old map", "shiny bell", "little lamp", "warm coat", "picture book", "glass bead"]
SPOTS = ["under a bush", "behind a big stone", "in the tall grass", "under the bridge", "on top of a fence", "inside an old boot",
         "between two roots", "beside the well", "at the bottom of a basket", "in an empty nest"]
FEARS = {
  "the dark": ("night", "lit a small lamp", "The shadows were only trees."),
  "thunder": ("storm", "sang a loud song", "The thunder was only noise."),
  "deep water": ("swim", "held out a strong branch", "The water was cool and soft."),
  "high places": ("climb", "went first and showed the way", "From the top, the whole valley looked like a green blanket."),
  "loud noises": ("parade", "clapped along with the drums", "The noise had turned into music."),
  "the big forest": ("walk", "walked ahead and whistled", "The forest was full of friendly sounds."),
}
GOALS = {
  "see the sea": ("the sea", "The water was wide and blue, and the waves sparkled in the sun."),
  "climb the highest mountain": ("the top of the mountain", "The clouds lay below like white wool."),
  "find the end of the rainbow": ("the end of the rainbow", "There was no gold, but there was a meadow full of flowers in every colour."),
  "visit the moon": ("the highest hill", "The moon was still far away, but it shone so brightly that it seemed to smile."),
  "see snow for the first time": ("the land of snow", "Everything was white and quiet, and the snow tickled."),
  "hear the big bells of the city": ("the city", "The bells rang so loudly that the windows danced."),
}
BUILDS = {
  "a boat": ("some old boards", "it began to sink", "sailed across the lake"),
  "a kite": ("paper and string", "it fell into a tree", "flew high above the roofs"),
  "a tree house": ("planks and nails", "the floor broke", "sat up there and looked at the stars"),
  "a raft": ("logs and rope", "the rope came loose", "floated gently down the river"),
  "a cake": ("flour, eggs and sugar", "it burned black", "ate a big slice of it"),
  "a snow fort": ("snow and ice", "the wall fell down", "played in it all afternoon"),
  "a swing": ("a board and two ropes", "one rope snapped", "swung so high that the birds laughed"),
  "a bridge": ("stones and wood", "the stones rolled away", "walked across it with dry feet"),
}
TROUBLES = {
  "stuck in the mud": "pulled as hard as possible, until there was a loud pop",
  "caught in a net": "bit and tore at the net until it opened",
  "too tired to walk": "carried the poor thing all the way home",
  "lost in the fog": "took the poor thing by the hand and found the path again",
  "trapped under a branch": "lifted the heavy branch, little by little",
  "shivering in the cold": "brought a warm blanket and a cup of hot milk",
}
MORALS = {
  "share": ["Things taste better when you share them.", "Whoever shares is never alone.", "A shared meal makes two hearts happy."],
  "brave": ["Being brave means being afraid and going on anyway.", "Courage grows a little every day.",
            "It is easier to be brave with a friend."],
  "try": ["Whoever tries again learns something new.", "A mistake is only the first step.", "Good things take time."],
  "kind": ["A kind deed always comes back.", "Even the smallest friend can be a great help.", "Kindness costs nothing."],
  "truth": ["The truth is the best story of all.", "Whoever tells the truth will be believed.", "A lie has short legs."],
  "home": ["It is good to travel, and it is good to come home.", "Home is where your friends are.",
           "The world is big, but home is warm."],
  "friends": ["A good friend is worth more than gold.", "Friends can quarrel and still be friends.", "Saying sorry is not hard at all."],
  "patience": ["Patience makes the best gardener.", "Small things grow when you care for them.", "Good things take time."],
  "slow": ["Slow and steady wins the race.", "It is more fun to run together than to win alone.", "Being fast is not everything."],
}


@dataclass
class Character:
  kind: str
  name: str
  he: str
  food: str
  said: str
  home: str
  adjective: str

  @property
  def at_home(self) -> str: return ("on " if self.home in ON else "in ") + self.home
  @property
  def him(self) -> str: return "him" if self.he == "he" else "her"
  @property
  def his(self) -> str: return "his" if self.he == "he" else "her"
  @property
  def He(self) -> str: return self.he.capitalize()
  @property
  def His(self) -> str: return self.his.capitalize()


def article(noun: str) -> str:
  return ("an " if noun[0] in "aeiou" else "a ") + noun


def character(r: _random.Random, kind: str | None = None, name: str | None = None, other_than: list[Character] = (),
              adjective: str | None = None) -> Character:
  used_kinds, used_names = {c.kind for c in other_than}, {c.name for c in other_than}
  if kind is None:
    kind = r.choice([k for k in list(ANIMALS) * 2 + list(PEOPLE) if k not in used_kinds])
  if kind in ANIMALS:
    food, said, home = ANIMALS[kind]
    he = r.choice(["he", "she"])
    if name: he = "he" if name in MALE_NAMES else "she"
  else:
    food, said, home, he = PEOPLE[kind]
  if name is None or name in used_names:
    name = r.choice([n for n in (MALE_NAMES if he == "he" else FEMALE_NAMES) if n not in used_names])
  adjective = adjective or r.choice([a for a in ADJECTIVES if a not in {c.adjective for c in other_than}])
  return Character(kind, name, he, food, said, home, adjective)


def opening(r: _random.Random, c: Character) -> str:
  who = article(f"{c.adjective} {c.kind}")
  return r.choice([
    f"Once upon a time, there was {who} named {c.name}. {c.He} lived {c.at_home}.",
    f"Once there was {who} named {c.name}, who lived {c.at_home}.",
    f"{c.at_home[0].upper() + c.at_home[1:]}, there lived {who}. {c.His} name was {c.name}.",
    f"{c.name} was {who}. {c.He} lived {c.at_home} and loved {c.food} more than anything.",
    f"Long ago, {who} named {c.name} lived {c.at_home}.",
    f"There was once {who} who lived {c.at_home}. Everybody called {c.him} {c.name}.",
  ])


def day(r: _random.Random) -> str:
  return r.choice(["One morning", "One day", "One sunny day", "One rainy day", "One evening", "On a cold winter day",
                   "Early in the morning", "One afternoon", "In the spring", "One fine day"])


def ending(r: _random.Random, c: Character, d: Character | None, moral: str) -> str:
  they = f"{c.name} and {d.name}" if d else c.name
  last = r.choice([
    f"From that day on, {they} {'were the best of friends' if d else 'smiled a little more'}.",
    f"That night, {c.name} slept well and dreamed of {c.food}.",
    f"And if you listen closely, you can still hear {they} laughing.",
    f"{c.name} went home with a happy heart.",
    "And they all lived happily ever after." if d else "And so the day ended well.",
  ])
  lesson = r.choice(MORALS[moral])
  return r.choice([f"{last} {lesson}", f"{last}", f"{lesson} {last}", f"{c.name} had learned something: {lesson[0].lower() + lesson[1:]} {last}"])


def plot_lost(r, c, d):
  thing, place, wrong = r.choice(THINGS), r.choice(PLACES), r.choice(PLACES)
  e = character(r, other_than=[c, d])
  spot = r.choice(SPOTS)
  return [
    f"{c.name} had {article(thing)} and carried it everywhere.",
    f"{day(r)}, the {thing.split()[-1]} was gone. " + r.choice([f"{c.name} looked in every corner, but {c.he} could not find it.",
      f"{c.He} looked here and {c.he} looked there, but it was nowhere.", f"{c.name} was very sad and began to cry."]),
    f"{c.He} went to the {wrong} and met {e.name} the {e.kind}. " + r.choice([
      f"\"Have you seen my {thing}?\" asked {c.name}. \"No,\" {e.said} {e.name}. \"Ask {d.name} the {d.kind}.\"",
      f"\"I have lost my {thing},\" said {c.name}. {e.name} shook {e.his} head. \"I am sorry. Perhaps {d.name} the {d.kind} can help you.\""]),
    f"So {c.name} went to {d.name}. " + r.choice([f"\"Do not cry,\" {d.said} {d.name}. \"We will look for it together.\"",
      f"\"Of course I will help you,\" {d.said} {d.name}."]),
    f"They walked to the {place}, and there it was, {spot}! " + r.choice([f"{c.name} jumped for joy.", f"\"Thank you, {d.name}!\" said {c.name}.",
      f"{c.name} laughed and hugged {d.name}."]),
  ], "friends"


def plot_fear(r, c, d):
  fear, (event, help_, after) = r.choice(list(FEARS.items()))
  return [
    r.choice([f"{c.name} was afraid of only one thing: {fear}.", f"There was one thing {c.name} did not like at all, and that was {fear}.",
              f"But {c.name} was afraid of {fear}."]),
    {"night": f"{day(r)}, the lights went out, and everything turned black.", "storm": f"{day(r)}, a storm came over the hills.",
     "swim": f"{day(r)}, {c.his} friends went swimming, and {c.he} had to wait on the shore.",
     "climb": f"{day(r)}, {c.his} friends wanted to climb a tall tree.", "parade": f"{day(r)}, a parade with drums came down the road.",
     "walk": f"{day(r)}, {c.he} had to bring {c.food} to {c.his} grandmother, and the way went through the forest."}[event],
    r.choice([f"{c.name} closed {c.his} eyes and trembled.", f"{c.name} hid and did not dare to move.", f"\"I cannot do it,\" said {c.name}."]),
    f"Then {d.name} the {d.kind} came along. " + r.choice([f"\"What is wrong?\" {d.said} {d.name}. \"I am afraid of {fear},\" said {c.name}.",
      f"\"You do not have to be alone,\" {d.said} {d.name}.", f"\"I was once afraid of {fear} too,\" {d.said} {d.name}."]),
    f"{d.name} {help_}. " + r.choice([f"Slowly, {c.name} opened {c.his} eyes.", f"{c.name} took a deep breath and followed.", f"{c.name} counted to three and tried."]),
    f"{after} " + r.choice([f"\"It is not so bad!\" said {c.name}.", f"{c.name} began to laugh.", f"{c.name} was proud, and {d.name} was proud of {c.him}."]),
  ], "brave"


def plot_help(r, c, d):
  trouble, deed = r.choice(list(TROUBLES.items()))
  place = r.choice(PLACES)
  trouble2 = r.choice(["fell into a deep hole", "lost the way in the snow", "forgot the key to the door", "got a thorn in the foot", "was chased by a swarm of wasps"])
  return [
    f"{day(r)}, {c.name} walked past the {place} and heard a small voice. \"Help! Help!\"",
    r.choice([f"It was {article(d.kind)} named {d.name}, who was {trouble}.", f"There was {d.name} the {d.kind}, {trouble}."]),
    f"{c.name} did not wait. {c.He} {deed}.",
    r.choice([f"\"Thank you,\" {d.said} {d.name}. \"One day I will help you too.\"", f"\"You saved me!\" {d.said} {d.name}. \"I will never forget it.\""]),
    r.choice([f"{c.name} smiled. \"How could you help me? You are only {article(d.kind)}.\"", f"{c.name} laughed and went on {c.his} way."]),
    f"But a few weeks later, {c.name} {trouble2}. " + r.choice([f"{c.He} called and called, but nobody came.", f"{c.He} did not know what to do."]),
    f"Then {d.name} heard {c.him} and came running. " + r.choice([f"Soon {c.name} was safe again.", f"It did not take long, and {c.name} was safe.", f"\"Now it is my turn,\" {d.said} {d.name}, and soon all was well."]),
  ], "kind"


def plot_share(r, c, d):
  return [
    f"{day(r)}, {c.name} found a basket full of {c.food}. " + r.choice([f"\"All for me!\" {c.said} {c.name}.", f"{c.He} was so happy that {c.he} danced.", f"{c.He} wanted to eat it all alone."]),
    f"Just then, {d.name} the {d.kind} came by. " + r.choice([f"{d.He} was thin and hungry.", f"\"I have not eaten since yesterday,\" {d.said} {d.name}.", f"{d.His} stomach rumbled loudly."]),
    r.choice([f"{c.name} looked at the basket. Then {c.he} looked at {d.name}.", f"{c.name} thought for a long time.", f"At first, {c.name} hid the basket behind {c.his} back."]),
    r.choice([f"\"Come and sit with me,\" said {c.name}. \"There is enough for two.\"", f"\"Please, take half of it,\" said {c.name}."]),
    f"They sat down by the {r.choice(PLACES)} and ate until the basket was empty. " + r.choice([f"{d.name} told a funny story, and they laughed until the sun went down.",
      "It was the best meal of the year.", f"\"Tomorrow I will bring {d.food},\" {d.said} {d.name}."]),
  ], "share"


def plot_journey(r, c, d):
  goal, (there, sight) = r.choice(list(GOALS.items()))
  first, second = r.sample(["a wide river", "a dark wood", "a steep hill", "a field of thorns", "a sleepy town", "a foggy swamp"], 2)
  return [
    r.choice([f"{c.name} had a dream. {c.He} wanted to {goal}.", f"More than anything, {c.name} wanted to {goal}.", f"Every night, {c.name} dreamed of one thing: {c.he} wanted to {goal}."]),
    f"{day(r)}, {c.he} packed some {c.food.replace('some ', '')} and set off.",
    f"First {c.he} came to {first}. " + r.choice([f"It was hard, but {c.name} did not turn back.", f"{c.name} was careful and took one step after another."]),
    f"Then {c.he} came to {second}. There {c.he} met {d.name} the {d.kind}. " + r.choice([f"\"Where are you going?\" {d.said} {d.name}. \"I want to {goal},\" said {c.name}. \"May I come with you?\"",
      f"\"The way is long,\" {d.said} {d.name}. \"Let us walk together.\""]),
    r.choice([f"They walked for three days and three nights.", "They sang songs, and the way did not seem so long.", f"When {c.name} was tired, {d.name} told {c.him} stories."]),
    f"At last they reached {there}. {sight} " + r.choice([f"\"It is beautiful,\" said {c.name}.", f"{c.name} could not say a word.", "They stayed until the stars came out."]),
    r.choice(["Then they went home and told everybody about it.", f"Then {c.name} thought of home, and they walked back together."]),
  ], "home"


def plot_build(r, c, d):
  what, (material, failure, use) = r.choice(list(BUILDS.items()))
  verb = "bake" if what == "a cake" else "build"
  it = what.split()[-1]
  return [
    f"{day(r)}, {c.name} wanted to {verb} {what}. " + f"{c.He} found {material} and began to work.",
    r.choice([f"{c.He} worked all day, but when it was ready, {failure}.", f"The first time, {failure}.", f"It looked good, but then {failure}."]),
    r.choice([f"\"I will never do it,\" said {c.name}.", f"{c.name} sat down and was sad.", f"{c.name} was so angry that {c.he} stamped {c.his} foot."]),
    f"{d.name} the {d.kind} saw it. " + r.choice([f"\"Try again,\" {d.said} {d.name}. \"I will help you.\"", f"\"My first {it} was not good either,\" {d.said} {d.name}. \"Let us do it together.\""]),
    r.choice(["So they worked side by side.", f"{d.name} held one end, and {c.name} held the other.", "This time they worked slowly and carefully."]),
    f"In the evening the {it} was ready, and it was {r.choice(['wonderful', 'strong', 'perfect', 'better than before'])}. They {use}.",
  ], "try"


def plot_lie(r, c, d):
  cry = r.choice(["The mill is on fire", "A wolf is coming", "The river is full of gold", "The bridge has fallen down", "A storm is coming"])
  return [
    f"{c.name} liked to make jokes. {day(r)}, {c.he} shouted, \"{cry}!\"",
    r.choice(["Everybody came running, but it was not true.", "All the neighbours ran out of their houses, but there was nothing to see."]) + f" {c.name} laughed and laughed.",
    r.choice([f"The next day, {c.he} did it again.", f"A week later, {c.he} played the same trick."]) + r.choice([f" Now nobody laughed.", f" {d.name} the {d.kind} was angry."]),
    f"But then, one night, it really happened. \"{cry}!\" shouted {c.name}. " + r.choice(["Nobody came.", "\"We know your jokes,\" said the neighbours, and they went back to bed."]),
    f"Only {d.name} looked out of the window and saw that it was true. {d.He} woke the others, and " + r.choice(["together they saved the day.", "everything ended well."]),
    r.choice([f"\"I am sorry,\" said {c.name}. \"I will not lie again.\"", f"{c.name} was ashamed and said sorry to everyone."]),
  ], "truth"


def plot_quarrel(r, c, d):
  thing = r.choice(THINGS)
  return [
    f"{c.name} had a friend, {d.name} the {d.kind}. They played together every day.",
    f"{day(r)}, they found {article(thing)} {r.choice(SPOTS)}. \"It is mine!\" said {c.name}. \"No, I saw it first!\" {d.said} {d.name}.",
    r.choice([f"They pulled and pulled, and the {thing.split()[-1]} fell into the mud.", "They shouted at each other and went home in anger."]),
    r.choice([f"That night, {c.name} could not sleep.", f"The next day was long and empty. {c.name} had nobody to play with."]) + r.choice([f" {c.He} missed {d.name}.", f" \"It was only {article(thing)},\" {c.he} thought."]),
    f"So {c.he} went to {d.name} and said, \"I am sorry. You can have the {thing.split()[-1]}.\" " + r.choice([f"\"I am sorry too,\" {d.said} {d.name}. \"Let us share it.\"", f"{d.name} smiled. \"I do not want it. I want my friend back.\""]),
  ], "friends"


def plot_weather(r, c, d):
  weather, shelter = r.choice([("It rained and rained", "a big mushroom"), ("The snow fell thick and white", "an old barn"), ("The wind blew so hard that the trees bent", "a hollow tree"),
                               ("A cold fog came down", "a small cave"), ("It rained for a whole week", "a wooden shed")])
  return [
    f"{day(r)}, {c.name} was far from home. {weather}, and {c.he} had no {r.choice(['coat', 'umbrella', 'warm hat'])}.",
    f"{c.He} ran until {c.he} saw {shelter}. " + r.choice([f"\"Is anybody there?\" asked {c.name}.", f"{c.name} crept inside."]),
    f"There sat {d.name} the {d.kind}. " + r.choice([f"\"Come in,\" {d.said} {d.name}. \"There is room for two.\"", f"\"It is small, but it is dry,\" {d.said} {d.name}."]),
    r.choice([f"They told each other stories while the weather raged outside.", f"{d.name} shared {d.his} {d.food.replace('nothing but ', '')}, and {c.name} told {d.him} a story.", "They sang every song they knew."]),
    r.choice(["Then, all at once, it was quiet. The sun came out, and a rainbow stood over the hills.", "When they woke up, the sky was blue again."]) + r.choice([f" \"Come and visit me,\" said {c.name}.", " They walked home together."]),
  ], "home"


def plot_birthday(r, c, d):
  thing = r.choice(THINGS)
  return [
    f"It was {c.name}'s birthday, but nobody seemed to remember it.",
    f"{c.He} went to {d.name} the {d.kind}, but {d.name} only said, \"I have no time today.\" " + r.choice([f"{c.name} walked home slowly.", f"{c.name} was sad and sat by the {r.choice(PLACES)}."]),
    f"In the evening, {c.he} opened the door of {c.his} house. " + r.choice(["It was dark inside.", "There was not a sound."]),
    f"\"Surprise!\" shouted all {c.his} friends at once. There were candles and flowers, and there was {r.choice(['a big cake', 'a table full of food', 'music'])}.",
    f"\"I did not forget,\" {d.said} {d.name}, and gave {c.him} {article(thing)}. " + r.choice([f"{c.name} was so happy that {c.he} cried a little.", "They danced until midnight.", f"\"It is the best birthday of my life,\" said {c.name}."]),
  ], "friends"


def plot_race(r, c, d):
  place = r.choice(PLACES)
  return [
    f"{day(r)}, {c.name} met {d.name} the {d.kind}. \"I am faster than you,\" {d.said} {d.name}. \"Let us run a race to the {place}.\"",
    r.choice([f"{c.name} was not fast, but {c.he} said yes.", f"\"Very well,\" said {c.name}."]) + " One, two, three, and off they went.",
    r.choice([f"{d.name} ran like the wind and was soon far ahead.", f"{d.name} was much faster and looked back and laughed."]),
    r.choice([f"But {d.name} was so sure to win that {d.he} lay down and fell asleep.", f"But {d.name} stopped to eat some {d.food.replace('nothing but ', '')} and forgot the time.", f"But {d.name} tripped over a root and hurt {d.his} foot."]),
    r.choice([f"{c.name} went on, step by step, and never stopped.", f"{c.name} came along slowly and stopped to help. \"Lean on me,\" said {c.name}."]),
    r.choice([f"When {d.name} looked up, {c.name} was already at the {place}.", f"They reached the {place} at the same time."]) + r.choice([" Everybody cheered.", f" \"Well done,\" {d.said} {d.name}."]),
  ], "slow"


def plot_seed(r, c, d):
  plant = r.choice(["sunflower", "apple tree", "pumpkin", "rose", "bean", "cherry tree"])
  return [
    f"{day(r)}, {d.name} the {d.kind} gave {c.name} a small seed. \"Put it into the ground and be patient,\" {d.said} {d.name}.",
    f"{c.name} planted it in {r.choice(['a sunny corner', 'the garden', 'a big pot', 'a field near the river'])} and gave it water every day.",
    r.choice(["One day passed, then two, then ten, but nothing happened.", "Week after week, there was only brown earth."]) + r.choice([f" \"It is a bad seed,\" said {c.name}.", f" {c.name} wanted to give up."]),
    r.choice([f"\"Wait a little longer,\" {d.said} {d.name}.", f"But {d.name} told {c.him} to wait."]),
    f"Then, after a warm rain, a tiny green leaf looked out of the ground. " + r.choice([f"It grew and grew, and by the summer it was a big {plant}.", f"In the autumn it was the finest {plant} anyone had ever seen."]),
    r.choice([f"{c.name} gave some of it to everybody.", f"{c.name} and {d.name} sat in front of it and were proud.", f"\"You were right,\" said {c.name} to {d.name}."]),
  ], "patience"


PLOTS = [plot_lost, plot_fear, plot_help, plot_share, plot_journey, plot_build, plot_lie, plot_quarrel, plot_weather, plot_birthday, plot_race, plot_seed]


def story(r: _random.Random, kind: str | None = None, name: str | None = None, friend: str | None = None, plot=None,
          adjective: str | None = None) -> str:
  """One story of 90 to 200 words. `kind`, `name` and `adjective` fix the hero, `friend` the second character's kind."""
  c = character(r, kind, name, adjective=adjective)
  d = character(r, friend, other_than=[c])
  beats, moral = (plot or r.choice(PLOTS))(r, c, d)
  sentences = [opening(r, c)] + beats + [ending(r, c, d, moral)]
  if r.random() < 0.5:
    middle = len(sentences) // 2
    return " ".join(sentences[:middle]) + "\n\n" + " ".join(sentences[middle:])
  return " ".join(sentences)


PLOT_TOPICS = {
  "lost": plot_lost, "fear": plot_fear, "help": plot_help, "sharing": plot_share, "a long journey": plot_journey, "building something": plot_build,
  "a lie": plot_lie, "a quarrel": plot_quarrel, "bad weather": plot_weather, "a birthday": plot_birthday, "a race": plot_race, "a seed": plot_seed,
}
