"""Words that mean the same where one word is all that differs between two prompts. English, in base forms."""

from __future__ import annotations

__all__ = ["SYNONYMS"]

# Only words that could replace each other in nearly any prompt: a group too many serves a wrong answer, a group too
# few costs one call.
_GROUPS = """
begin beginning start commence | end ending finish conclude | big large | small little | fast quick rapid
buy purchase | fix repair mend | help assist aid | show display | get obtain receive | ask inquire enquire
choose select pick | need require | allow permit | keep retain | make create | use utilize employ | try attempt
answer reply respond | explain clarify | improve enhance | reduce decrease lower | increase raise | happen occur
build construct | remove delete erase | change modify alter | check verify | find locate | speak talk | send dispatch
car automobile auto | bike bicycle | movie film | sofa couch | picture photo photograph image | parcel package
shop store | holiday vacation | autumn fall | lawyer attorney | doctor physician | kid child | baby infant
staff employee personnel | client customer | firm company business | boss manager | illness disease sickness
error mistake | issue problem | benefit advantage | drawback downside disadvantage | price cost | salary wage
invoice bill | rule regulation | phone telephone | cellphone mobile smartphone | laptop notebook | tv television
fridge refrigerator | rubbish garbage trash | flat apartment | lift elevator | petrol gasoline | lorry truck
pavement sidewalk | biscuit cookie | nappy diaper | torch flashlight | football soccer | math mathematics maths
exam examination | teacher instructor | pupil student | speed performance | broken damaged defective faulty
right correct | wrong incorrect | hard difficult | easy simple | important significant | often frequently
glad happy | sad unhappy | rich wealthy | smart clever intelligent | brave courageous | angry furious
beautiful pretty | quiet silent | strange odd weird | empty vacant | famous renowned | ill sick | thin slim
exhausted tired | complete entire whole | main primary | near close | present gift | trip journey | road street
centre center middle | goal aim objective | idea concept | result outcome | reason cause | effect impact
chance opportunity | amount quantity | area region | guide manual | summary overview | web online internet
application app | information info | advertisement ad advert | picture pic | document doc | documentation docs
database db | configuration config | maximum max | minimum min | america usa | uk britain
grey gray | cheque check | tyre tire | kerb curb | plough plow | sceptical skeptical | jewellery jewelry
aluminium aluminum | draught draft | mum mom mother | dad father | pyjama pajama | historic historical old ancient
forest woods | rock stone | delivery shipping shipment | refund reimbursement | login signin | logout signout
signup register
"""

SYNONYMS: tuple[tuple[str, ...], ...] = tuple(
    tuple(group.split()) for line in _GROUPS.strip().splitlines() for group in line.split(" | ")
)
"""Groups of words that mean the same."""
