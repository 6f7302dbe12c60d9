# Frozen into a chip's own image: the firmware's functions in machine code, which would lie on the heap otherwise.
# Written by `python -m spot_host.image --names`; spot_host/natives.py says why. ruff: noqa

def take(into, names):
    here = globals()
    for pair in names.split():
        name, own = pair.split(":")
        if own in here:
            into[name] = here[own]


@micropython.viper
def n75491219(a0: ptr8, a1: ptr8, a2: ptr8, a3: ptr8, a4: ptr8, a5: int, a6: int, a7: int) -> int:
    a8 = 0
    if a7 == 0:
        a1[0] = (89 if a5 else 25) ^ a4[0]
        a10 = 0
        while a10 < 13:
            a12 = a2[a10]
            a10 += 1
            a1[a10] = a12 ^ a4[a10]
        a1[14] = a6 >> 8 ^ a4[14]
        a1[15] = a6 & 255 ^ a4[15]
        a8 = 16
        if a5:
            a1[16] = a5 >> 8
            a1[17] = a5 & 255
            a8 = 18
            a10 = 0
            while a10 < a5:
                a1[a8] = a3[a10]
                a8 += 1
                a10 += 1
            while a8 & 15:
                a1[a8] = 0
                a8 += 1
    a9 = a6 - a7
    if a9 > 256 - a8:
        a9 = 256 - a8
    a9 = a9 + 31 >> 4
    a7 >>= 4
    while a9 > 0:
        a9 -= 1
        a11 = a9 << 4
        a0[a11] = 1
        a0[a11 + 14] = 0
        a0[a11 + 15] = a9 + a7 if a9 else 0
        a10 = 0
        while a10 < 13:
            a11 += 1
            a0[a11] = a2[a10]
            a10 += 1
    return a8


@micropython.viper
def n775857bb(a0: ptr8, a1: ptr8, a2: ptr8, a3: int, a4: int, a5: int, a6: int) -> int:
    a7 = a4 + a5
    a8 = 16
    while a4 < a7:
        a9 = a1[a4]
        a10 = a9 ^ a2[a8]
        if a6:
            a1[a4] = a10
        else:
            a9 = a10
        a0[a3] = a9
        a3 += 1
        a8 += 1
        a4 += 1
    while a3 & 15:
        a0[a3] = 0
        a3 += 1
    return a3 >> 4


@micropython.viper
def n789bf9c6(a0: ptr32, a1: ptr8, a2: ptr8, a3: int, a4: ptr32) -> int:
    a5 = ptr32(a4)
    a6 = a5[0]
    a7 = a5[2]
    a8 = a3 >> 8
    while a8 > 0 and a0[a8 - 1] == a6:
        a8 -= 1
    a9 = a8
    while a9 < a3 >> 8:
        if a1[a9] & 1:
            return -(64 * a9 + 69)
        a9 += 1
    a10 = 0
    a9 = -2
    while a9 < a8:
        a11 = 0
        if a9 < 0:
            a12 = a3 & 31
            if a9 != -1:
                a12 = a8 + 1
                a11 = 128
        else:
            a12 = a0[a9]
            a13 = a1[a9]
            if a12 == a6:
                if a13 & 1:
                    return -(64 * a9 + 69)
                a12 = 0
                a11 = 246
            else:
                a13 &= 254
                a14 = a12 - a5[a13] & a7
                if a14 < 0 or a14 > a5[a13 + 1]:
                    return -(64 * a9 + 70)
                if a13 == 4:
                    a12 = a12 + a5[1] & a7
                elif a12 >> 30 & 1:
                    a12 = a7 - a12
                    a11 = 32
        if a12 >> 8:
            if a12 >> 16:
                a2[a10] = a11 + 26
                a2[a10 + 1] = a12 >> 24 & 255
                a2[a10 + 2] = a12 >> 16 & 255
                a10 += 2
            else:
                a2[a10] = a11 + 25
            a2[a10 + 1] = a12 >> 8 & 255
            a2[a10 + 2] = a12 & 255
            a10 += 3
        elif a12 > 23:
            a2[a10] = a11 + 24
            a2[a10 + 1] = a12
            a10 += 2
        else:
            a2[a10] = a11 + a12
            a10 += 1
        a9 += 1
    return a10


@micropython.viper
def na4154aff(a0: ptr8, a1: ptr8, a2: ptr8, a3: ptr8, a4: int, a5: int, a6: int, a7: int) -> int:
    a8 = 0
    a4 = (a4 << 4) - 16
    a9 = a5 + a6
    a10 = 0
    if a7 > 0:
        while a8 < 8:
            a1[a9] = a0[a4 + a8] ^ a2[a8]
            a9 += 1
            a8 += 1
    else:
        a7 = -a7
        while a8 < 8:
            a10 |= a1[a9] ^ a0[a4 + a8] ^ a2[a8]
            a9 += 1
            a8 += 1
        if a10 == 0:
            a8 = 16
            a9 = a5
            a6 += a5
            while a9 < a6:
                a1[a9] = a1[a9] ^ a2[a8]
                a9 += 1
                a8 += 1
    a8 = 0
    while a8 < 16:
        a8 += 1
        a3[16 - a8] = a0[a7 - a8]
    return 1 if a10 == 0 else 0


@micropython.viper
def naf4e0fa7(a0: ptr8, a1: ptr8, a2: int, a3: int) -> int:
    a4 = 65535
    while a2 < a3:
        a4 = a4 ^ a0[a2]
        a5 = a4 & 15
        a4 = a4 >> 4 ^ (a1[a5] | a1[a5 + 16] << 8)
        a5 = a4 & 15
        a4 = a4 >> 4 ^ (a1[a5] | a1[a5 + 16] << 8)
        a2 += 1
    return a4


@micropython.viper
def nb421867b(a0: ptr8, a1: ptr8, a2: ptr8, a3: int, a4: int) -> int:
    a5 = 0
    while a5 < 9:
        a0[a5] = a2[a5]
        a5 += 1
    a0[9] = a2[9] ^ a4 >> 24
    a0[10] = a2[10] ^ a4 >> 16 & 255
    a0[11] = a2[11] ^ a4 >> 8 & 255
    a0[12] = a2[12] ^ a4 & 255
    if a3 == 13:
        return 0
    a5 = 13
    while a5 < a3:
        a1[a5 - 13] = a2[a5]
        a5 += 1
    a3 -= 13
    a5 = 8
    while a4 >> a5:
        a5 += 8
    a1[a3] = 64 + (a5 >> 3)
    a3 += 1
    while a5 > 0:
        a5 -= 8
        a1[a3] = a4 >> a5 & 255
        a3 += 1
    a1[a3] = 64
    a3 += 1
    a1[11] = 52 + a3
    return a3


@micropython.viper
def ncc867736(a0: ptr8, a1: ptr8, a2: int, a3: int):
    a4 = a2 & 32767
    a5 = a4 + a3
    a2 >>= 15
    while a4 < a5:
        a0[a4] = a1[a2]
        a4 += 1
        a2 += 1


@micropython.viper
def nf95ba47e(a0: ptr8, a1: ptr8, a2: ptr32, a3: int, a4: ptr32) -> int:
    a5 = ptr32(a4)
    a6 = a5[0]
    a7 = a5[2]
    a8 = a3 & 65535
    a9 = a0[0] - 129
    a10 = 2
    if a9 == 23:
        a9 = a0[1] - 1
        a10 = 3
    if a0[a10 - 1] == 24:
        a10 += 1
    a11 = a3 >> 16
    a12 = 0
    a13 = 0
    while a12 < a11 and a9 > 0:
        a13 = 68
        if a10 >= a8:
            break
        a14 = a0[a10]
        a10 += 1
        if a14 > 59:
            if a14 >= 160 and a14 < 192 and (a9 == 1):
                a10 -= 1
                a13 = 0
                break
            if a14 != 246:
                break
            if a1[a12] & 1:
                a13 = 69
                break
            if a9 == 1 or (a9 == 2 and a10 < a8 and (a0[a10] >= 160) and (a0[a10] < 192)):
                break
            a15 = a6
        else:
            a15 = a14 & 31
            if a15 > 23:
                a18 = a15 - 24
                if a18 > 3 or a10 + (1 << a18) > a8:
                    break
                a19 = a10 + (1 << a18)
                if a18 == 3:
                    a19 -= 4
                a15 = 0
                while a10 < a19:
                    a15 = a15 << 8 | a0[a10]
                    a10 += 1
                if a18 == 0:
                    if a15 < 24:
                        break
                elif a18 == 3:
                    if a15:
                        a13 = 70
                    break
                elif a15 >> (a18 << 3) == 0:
                    break
            a13 = 70
            a16 = a1[a12] & 254
            if a16 == 4:
                if a14 != 26:
                    break
                a15 -= a5[1]
            else:
                if a15 >> 31 & 1:
                    break
                if a14 > 31:
                    a15 = a7 - a15
            a17 = a15 - a5[a16] & a7
            if a17 < 0 or a17 > a5[a16 + 1]:
                break
        a2[a12] = a15 & a7
        a9 -= 1
        a12 += 1
        a13 = 0
    if a13:
        return -(64 * a12 + a13)
    while a12 < a11:
        if a1[a12] & 1:
            return -(64 * a12 + 69)
        a2[a12] = a6
        a12 += 1
    return a9 << 16 | a10
